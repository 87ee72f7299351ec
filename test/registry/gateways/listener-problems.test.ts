import assert from "node:assert/strict";
import { test } from "mocha";
import { gatewayMesh, waypoint } from "./gateway-mesh.ts";

const hbone = (name: string, port = 15_008) => ({ name, port, protocol: "HBONE" });
const cases: readonly (readonly [string, readonly object[], readonly RegExp[]])[] = [
  ["one listener for HBONE", [hbone("mesh")], []],
  ["two listeners for HBONE", [hbone("mesh"), hbone("more", 15_009)], [/Listener more serves nobody: .*remove one/]],
  ["none for HBONE", [{ name: "web", port: 8080, protocol: "HTTP" }], [/Listener web serves nobody/, /takes HBONE/]],
  ["HBONE on another port", [hbone("mesh", 15_009)], [/port 15008/, /takes HBONE/]],
  ["no listener", [], [/takes HBONE/]],
];
for (const [what, listeners, expected] of cases)
  test(`a waypoint with ${what} has as many problems: ${expected.length}`, () => {
    const mesh = gatewayMesh([waypoint({}, { spec: { gatewayClassName: "istio-waypoint", listeners }, status: {} })]);
    const found = [...mesh.configs.problems.entries()].filter(([, { object }]) => object === "Gateway shop/w");
    assert.equal(found.length, expected.length, JSON.stringify(found));
    for (const [at, [, { field, message }]] of found.entries()) {
      assert.match(field, /^spec\.listeners/);
      assert.match(message, expected[at]!);
    }
  });
