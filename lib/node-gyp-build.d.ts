declare module 'node-gyp-build' {
  function load(directory: string): unknown
  namespace load {
    function resolve(directory: string): string
  }
  export = load
}
