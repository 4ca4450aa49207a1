// A module resolution hook: the conformance suite gets fs.mjs when it asks for 'fs'.
const SUITE = '/@modelcontextprotocol/conformance/';

export function resolve(specifier, context, nextResolve) {
  if (specifier === 'fs' && context.parentURL?.includes(SUITE)) {
    return { url: new URL('./fs.mjs', import.meta.url).href, shortCircuit: true };
  }
  return nextResolve(specifier, context);
}
