"""The report's pictures, small SVG files that say the same in every run of the same figures."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmark.parts.growth import Growth
from benchmark.parts.grpc_sweeps import GrpcSweeps
from benchmark.parts.roofline import Roofline
from benchmark.parts.video_ratio import VideoRates

_WIDTH_IN, _HEIGHT_IN = 6.4, 3.2


def draw_plots(figures: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draws what there are figures for.

    Returns:
        Part -> picture; none where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("Agg")
    # Without these, ids and dates would make each file differ from the last.
    matplotlib.rcParams.update({"svg.hashsalt": "deepfake-bench", "svg.fonttype": "none", "font.size": 9})
    drawn = {}
    for name, draw in _PLOTS.items():
        if name in figures:
            drawn[name] = _drawn(folder / f"{name}.svg", draw, figures[name])
    return drawn


def _drawn(path: Path, draw: Callable[[Any, Any], None], figures: Any) -> Path:
    from matplotlib import pyplot

    panels = len(figures.curves) if isinstance(figures, Growth) else 1
    rows = -(-panels // 2)
    figure, axes = pyplot.subplots(
        rows, min(panels, 2), figsize=(_WIDTH_IN, _HEIGHT_IN * rows), squeeze=False, layout="constrained"
    )
    try:
        draw(list(axes.flat), figures)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
    finally:
        pyplot.close(figure)
    return path


def _ratio(axes: Any, part: VideoRates) -> None:
    rates = [part.rate(name) for name in part.rates]
    medians = [rate.median for rate in rates]
    spans = [[rate.median - rate.low for rate in rates], [rate.high - rate.median for rate in rates]]
    bars = axes[0].barh(list(part.rates), medians, xerr=spans, color="#4c78a8", ecolor="black", capsize=2)
    axes[0].bar_label(bars, fmt="%.1f", padding=6)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("images/s, requests of 30 frames over HTTP")


def _sweeps(axes: Any, part: GrpcSweeps) -> None:
    for name, points in (("closed loop", part.closed), ("Poisson", part.poisson)):
        points = sorted(points, key=lambda point: point.images_per_s)
        rates = [point.images_per_s for point in points]
        axes[0].plot(rates, [point.p50_ms for point in points], "o-", label=f"{name}, p50")
        axes[0].plot(rates, [point.p99_ms for point in points], "s--", label=f"{name}, p99")
    axes[0].set_xlabel(f"images/s, {part.server} over gRPC")
    axes[0].set_ylabel("latency, ms")
    axes[0].set_ylim(bottom=0)
    axes[0].legend()


def _roofline(axes: Any, part: Roofline) -> None:
    names = [roof.precision for roof in part.precisions]
    ceilings = [roof.ceiling_gflops.median / part.gflop_per_image for roof in part.precisions]
    axes[0].barh(names, ceilings, color="#dddddd", label="ceiling of the matrix products")
    reached = [roof.classifier_images_per_s.median for roof in part.precisions]
    bars = axes[0].barh(names, reached, height=0.5, color="#4c78a8", label="classifier")
    axes[0].bar_label(bars, [f"{roof.share.median:.0%}" for roof in part.precisions], padding=4)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("images/s")
    axes[0].legend()


def _growth(axes: Any, part: Growth) -> None:
    for panel, curve in zip(axes, part.curves, strict=False):
        sizes, costs = [p.size for p in curve.points], [p.cost for p in curve.points]
        panel.loglog(sizes, costs, "o-", color="#4c78a8", label=f"exponent {curve.exponent:.2f}")
        linear = [costs[-1] * size / sizes[-1] for size in sizes]
        panel.loglog(sizes, linear, ":", color="grey", label="linear")
        panel.set_xlabel(curve.size)
        panel.set_ylabel(curve.cost)
        panel.set_title(curve.name, fontsize=9)
        panel.legend()
    for panel in axes[len(part.curves) :]:
        panel.set_visible(False)


_PLOTS: dict[str, Callable[[Any, Any], None]] = {
    "ratio": _ratio,
    "sweeps": _sweeps,
    "roofline": _roofline,
    "growth": _growth,
}
