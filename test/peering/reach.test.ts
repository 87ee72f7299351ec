import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "mocha";
import { doorsOf } from "../../src/peering/data-plane.ts";
import { type Door, takesConnections } from "../../src/peering/probe.ts";
import { targetOf } from "../../src/peering/peer.ts";
import { realHost } from "../kits/real-host.ts";
import { factsOf, gatewayOf, LinkLab, serviceOf } from "./link-lab.ts";

const named = gatewayOf({ hosts: [{ kind: "hostname", hostname: "west.example" }] });

async function linkedTo(answers: readonly (readonly string[] | Error)[]): Promise<LinkLab> {
  let at = 0;
  const lab = new LinkLab({
    lookUp: () => {
      const answer = answers[Math.min(at++, answers.length - 1)]!;
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  });
  lab.link(named);
  lab.graph.flush();
  await lab.peers.start();
  lab.peers.dial();
  await lab.pass(0);
  return lab;
}

test("a name without an address is looked up again every few seconds, which the status says, and dialled once it has one", async () => {
  const lab = await linkedTo([new Error("ENOTFOUND"), [], ["10.0.0.7"]]);
  assert.deepEqual([lab.calls.length, lab.status.reason], [0, "AddressUnresolved"]);
  assert.equal(lab.status.message, "west.example cannot be looked up: ENOTFOUND");
  await lab.pass(5_000);
  assert.equal(lab.status.message, "west.example has no address");
  await lab.pass(5_000);
  assert.deepEqual([lab.call.ip, lab.status.reason], ["10.0.0.7", "SyncPending"]);
});

test("a name that can no longer be looked up keeps its last address; another address is dialled at once unless the peer is there", async () => {
  const lab = await linkedTo([["10.0.0.7"], new Error("SERVFAIL"), ["10.0.0.8"], ["10.0.0.9"]]);
  await lab.pass(30_000);
  assert.deepEqual(lab.peers.views()[0]!.addresses, ["10.0.0.7"]);
  await lab.pass(30_000);
  assert.equal(lab.call.ip, "10.0.0.8");
  lab.call.connected();
  await lab.pass(30_000);
  assert.deepEqual([lab.peers.views()[0]!.addresses, lab.call.ip], [["10.0.0.9"], "10.0.0.8"]);
});

test("the same addresses in another order are the same addresses", async () => {
  const lab = await linkedTo([
    ["10.0.0.7", "10.0.0.8"],
    ["10.0.0.8", "10.0.0.7"],
  ]);
  const dialled = lab.calls.length;
  lab.call.connected();
  await lab.pass(30_000);
  assert.equal(lab.calls.length, dialled);
});

test("the way for traffic is probed apart from the control plane: often and twice before it counts as closed", async () => {
  const doors: Door[] = [];
  let open = true;
  const lab = await LinkLab.live([serviceOf("payments")], {
    probe: (door) => (doors.push(door), Promise.resolve(open)),
  });
  await lab.pass(5_000);
  assert.equal(lab.status.dataPlane, "open");
  assert.deepEqual(doors[0], { host: "10.0.0.1", port: 15008 });
  open = false;
  lab.call.ended();
  await lab.pass(5_000);
  assert.equal(lab.status.dataPlane, "open", "one connection that fails can be chance");
  await lab.pass(10_000);
  assert.deepEqual([lab.status.dataPlane, lab.status.state], ["closed", "stale"]);
  open = true;
  await lab.pass(5_000);
  assert.equal(lab.status.dataPlane, "open");
});

test("a peer that is well is probed every half minute", async () => {
  let probes = 0;
  const lab = await LinkLab.live([], { probe: () => Promise.resolve(++probes > 0) });
  await lab.pass(300_000);
  assert.ok(probes >= 9 && probes <= 12, `${probes}`);
});

test("what is probed is where traffic goes: the Gateway's addresses, or the nodes that the peer names", () => {
  const door = { serviceType: "loadbalancer", identity: "spiffe://west.local/ns/a/sa/b" } as const;
  const balancer = { ...door, host: { kind: "hostname", hostname: "internal.west" } as const, hbonePort: 15_009 };
  const node = (ip: string) =>
    ({ ...door, serviceType: "nodeport", host: { kind: "ip", ip }, hbonePort: 30_015 }) as const;
  const target = targetOf(named)!;
  assert.deepEqual(doorsOf(target, undefined), [{ host: "west.example", port: 15_008 }]);
  const both = factsOf({ doors: [balancer, node("10.0.0.3"), node("10.0.0.4")] });
  assert.deepEqual(doorsOf(target, both), [{ host: "west.example", port: 15_009 }]);
  assert.deepEqual(doorsOf({ ...target, hbonePort: 15_100 }, both), [{ host: "west.example", port: 15_100 }]);
  const nodes = ["10.0.0.3", "10.0.0.4"].map((host) => ({ host, port: 30_015 }));
  assert.deepEqual(doorsOf({ ...target, preferred: "nodeport" }, both), nodes);
  assert.deepEqual(doorsOf(target, factsOf({ doors: [node("10.0.0.3"), node("10.0.0.4")] })), nodes);
});

test("a port that takes connections is open, one that does not is closed", async () => {
  const { clock } = realHost();
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const door = { host: "127.0.0.1", port: address.port };
  assert.equal(await takesConnections(clock, door), true);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await takesConnections(clock, door), false);
  await assert.rejects(new Promise((_, reject) => connect(door).on("error", reject)), /ECONNREFUSED/);
});

test("how long a change took from its exporter to clients here is measured by the exporter's clock, as far as it is known", async () => {
  const lab = await LinkLab.live([serviceOf("payments")]);
  assert.equal(
    lab.metric("peer_end_to_end_propagation_seconds_count"),
    0,
    "a first state has waited for other reasons",
  );
  lab.call.changed(serviceOf("payments", { ready: 0 }), lab.host.clock.now());
  await lab.pass(300);
  assert.equal(lab.metric("peer_end_to_end_propagation_seconds_count"), 1);
});
