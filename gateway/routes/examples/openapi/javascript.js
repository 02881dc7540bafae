// Lists the routes of the service, in browsers and in Node 20.
const response = await fetch("http://127.0.0.1:5000/openapi.json", { signal: AbortSignal.timeout(5_000) });
if (!response.ok) throw new Error(`${response.status}`);
for (const [path, methods] of Object.entries((await response.json()).paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    console.log(method.toUpperCase(), path, operation.summary);
  }
}
