// The way to the server that the test has chosen, in JSON:
//
//   {"command": [...]}    {"url": "..."}    {"url": "...", "sse": true}

/** Makes the transport of a route, out of the classes of the SDK's version. */
export function openRoute(route, { Stdio, Sse, StreamableHttp }) {
  if (route.command) {
    const [command, ...args] = route.command;
    return new Stdio({ command, args, env: process.env, stderr: 'inherit' });
  }
  const url = new URL(route.url);
  return route.sse ? new Sse(url) : new StreamableHttp(url);
}
