/** Numbers as people read them. */

const NO_BREAK = "\u00a0";

/**
 * A probability as a percentage that never claims certainty.
 * @param {number} probability 0-1
 * @returns {string}
 */
export function percent(probability) {
  if (probability > 0.999) return `>${NO_BREAK}99.9${NO_BREAK}%`;
  if (probability < 0.001) return `<${NO_BREAK}0.1${NO_BREAK}%`;
  return `${(probability * 100).toFixed(1)}${NO_BREAK}%`;
}

/**
 * The edge of a band, without needless digits.
 * @param {number} probability 0-1
 * @returns {string}
 */
export function edge(probability) {
  return `${Number((probability * 100).toFixed(1))}${NO_BREAK}%`;
}

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : Number(value.toFixed(1))}${NO_BREAK}${units[power]}`;
}

/**
 * A time span or a place in a video: 0.48 s, 1:05.2, 1:02:03.
 * @param {number} seconds
 * @param {number} [digits] of the seconds
 * @returns {string}
 */
export function time(seconds, digits = 2) {
  if (seconds < 60) return `${seconds.toFixed(digits)}${NO_BREAK}s`;
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const rest = (seconds - minutes * 60).toFixed(minutes < 60 ? Math.min(digits, 1) : 0).padStart(digits && minutes < 60 ? 4 : 2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * From when to when in a video; one time where both read the same.
 * @param {number} start_s
 * @param {number} end_s
 * @returns {string}
 */
export function period(start_s, end_s) {
  const [start, end] = [time(start_s, 1), time(end_s, 1)];
  return start === end ? `at ${start}` : `${start} to ${end}`;
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(count, one, many = `${one}s`) {
  return `${count}${NO_BREAK}${count === 1 ? one : many}`;
}
