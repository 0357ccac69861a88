'use strict'
// Where this Node keeps its own headers, so that node-gyp does not download them.
const fs = require('node:fs')
const path = require('node:path')

/** The folder for node-gyp's nodedir, or '' where the headers of exactly this version are not. */
function nodePrefix() {
  const prefix = path.resolve(process.execPath, '../..')
  try {
    const text = fs.readFileSync(path.join(prefix, 'include/node/node_version.h'), 'utf8')
    const part = (name) => text.match(new RegExp(`NODE_${name}_VERSION (\\d+)`))[1]
    const version = ['MAJOR', 'MINOR', 'PATCH'].map(part).join('.')
    return version === process.versions.node ? prefix : ''
  } catch {
    return ''
  }
}

module.exports = { nodePrefix }
