import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { serviceEntry } from "./mesh.ts";
import { federated, peered } from "./peers.ts";

const HOST = "cart.shop.mesh.internal";
const claim = (namespace: string, creationTimestamp: string): KubeObject =>
  serviceEntry(
    "mine",
    { hosts: [HOST], resolution: "STATIC", addresses: ["10.9.9.9"] },
    { namespace, creationTimestamp },
  );
const [OLD, YOUNG] = ["1970-01-01T00:00:00.500Z", "2026-01-01T00:00:00Z"];

/** Who is told of the host, and who answers to a client that looks it up. */
function outcome(namespace: string, created: string) {
  const mesh = peered(["west"], [claim(namespace, created)]);
  mesh.hear(federated("west"));
  const told = [...mesh.registry.problems.entries()].filter(([, { message }]) => message.includes(HOST));
  const canonical = [...mesh.registry.services.entries()].filter(
    ([, each]) => each.hostname === HOST && each.canonical,
  );
  return {
    told: told.map(([, { object }]) => object).sort(),
    messages: told.map(([, { message }]) => message).join("\n"),
    answers: canonical.map(([, { addresses }]) => (addresses[0]?.ip === "10.9.9.9" ? "theirs" : "ours")),
  };
}

for (const namespace of ["shop", "other"]) {
  const both = [`Service shop/cart`, `ServiceEntry ${namespace}/mine`];

  test(`a younger ServiceEntry in namespace ${namespace} does not take a global name, and both are told`, () => {
    const { told, answers, messages } = outcome(namespace, YOUNG);
    assert.deepEqual([told, answers], [both, ["ours"]]);
    assert.match(messages, /The entry is younger, so it does not have the name; give the entry another host/);
  });

  test(`an older ServiceEntry in namespace ${namespace} keeps its name, and both are told`, () => {
    const { told, answers, messages } = outcome(namespace, OLD);
    assert.deepEqual([told, answers], [both, ["theirs"]]);
    assert.match(messages, /The entry is older, so it has the name/);
  });
}

test("a ServiceEntry of another host is told nothing, and once the global service goes neither is one of its host", () => {
  const mesh = peered(["west"], [claim("shop", YOUNG), serviceEntry("api", { hosts: ["api.example"] })]);
  const told = () => [...mesh.registry.problems.entries()].filter(([key]) => key.startsWith("foreign"));
  mesh.hear(federated("west"));
  assert.equal(told().length, 1);
  mesh.unhear(federated("west"));
  assert.equal(told().length, 0);
});
