import assert from "node:assert/strict";
import { test } from "mocha";
import { SparseLog } from "../src/sparse-log.ts";
import { TestHost } from "./kits/test-host.ts";

test("what a stranger repeats is logged once a minute, with how often it was left out", () => {
  const host = new TestHost();
  const log = new SparseLog(host.log.scope("grpc"), host.clock);
  for (let i = 0; i < 1000; i++) log.warn("connection refused", { address: `10.0.0.${i % 250}` });
  log.warn("connection cut off", { address: "10.0.0.9" });
  host.clock.advance(59_999);
  log.warn("connection refused", { address: "10.0.0.1" });
  host.clock.advance(1);
  log.warn("connection refused", { address: "10.0.0.2" });
  assert.deepEqual(host.lines, [
    "warn grpc: connection refused address=10.0.0.0",
    "warn grpc: connection cut off address=10.0.0.9",
    "warn grpc: connection refused address=10.0.0.2 leftOut=1000",
  ]);
});
