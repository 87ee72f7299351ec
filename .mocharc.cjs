const { availableParallelism } = require("node:os");

module.exports = {
  ui: "tdd",
  spec: ["dist/test/**/*.test.js"],
  ignore: ["dist/test/conformance/**"],
  parallel: true,
  jobs: Math.max(2, availableParallelism()),
  timeout: 60000,
  require: ["dist/test/kits/source-places.js"],
  "node-option": ["max-semi-space-size=64"],
  exit: true,
  reporter: "dot",
};
