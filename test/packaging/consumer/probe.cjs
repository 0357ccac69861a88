// Prints whether the package loads, or the name, code and message of the error.
try {
  require('papo-kernels')
  console.log('loaded')
} catch (error) {
  console.log(`${error.name} ${error.code}\n${error.message}`)
}
