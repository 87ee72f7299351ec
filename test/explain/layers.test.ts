import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import type { FederatedService, WaypointPolicy } from "../../src/registry/model/federated-service.ts";
import { authorization, object } from "../registry/mesh.ts";
import { federated, peered } from "../registry/peers.ts";
import { cart, cartPod } from "../registry/two-networks.ts";
import { explained } from "./explained.ts";

const HOST = "cart.shop.mesh.internal";
const GATE = object(
  "gateway.networking.k8s.io/v1",
  "Gateway",
  { name: "gate" },
  {
    spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
    status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] },
  },
);
const THEIRS: Partial<FederatedService> = {
  waypoint: { namespace: "shop", name: "far", identity: "spiffe://cluster.local/ns/shop/sa/far" },
};
const ours = (policy: WaypointPolicy): readonly KubeObject[] => [
  GATE,
  cart(
    "10.1.0.1",
    {},
    {
      labels: { "solo.io/service-scope": "global", "istio.io/use-waypoint": "gate" },
      annotations: { "peering.causeway.dev/waypoint-policy": policy },
    },
  ),
];

/** The boxes on the way to west that enforce L7. */
function enforcing(objects: readonly KubeObject[], said: Partial<FederatedService>): readonly string[] {
  const mesh = peered(["west"], objects);
  mesh.hear(federated("west", said));
  const path = explained(mesh.registry, HOST).paths.find(({ to }) => to === "west");
  return path!.hops
    .filter(({ enforces }) => enforces.includes("L7"))
    .map(({ what, cluster }) => `${what} of ${cluster}`);
}

const [HERE, THERE] = ["waypoint shop/gate of east", "waypoint shop/far of west"];
const rules: readonly (readonly [string, readonly KubeObject[], Partial<FederatedService>, readonly string[]])[] = [
  ["once, with one at each end", ours("once"), THEIRS, [HERE]],
  ["once, with one at the destination", [], THEIRS, [THERE]],
  ["once, with one at the caller", ours("once"), {}, [HERE]],
  ["once, with none", [], {}, []],
  ["both", ours("both"), THEIRS, [HERE, THERE]],
  ["source, with one at the destination", [], { ...THEIRS, waypointPolicy: "source" }, []],
  ["destination, with one at the destination", [], { ...THEIRS, waypointPolicy: "destination" }, [THERE]],
];
for (const [what, objects, said, expected] of rules)
  test(`who enforces L7 on the way to a peer: ${what}`, () => assert.deepEqual(enforcing(objects, said), expected));

test("the way to a peer is shown box by box, with whom each must prove to be or sees", () => {
  const mesh = peered(["west"]);
  mesh.hear(federated("west"));
  const { paths } = explained(mesh.registry, HOST);
  assert.deepEqual(
    paths.map(({ to, hops }) => [to, ...hops.map(({ what, cluster, enforces }) => `${cluster}: ${what}, ${enforces}`)]),
    [
      [
        "west",
        "east: pod of the caller, nothing",
        "east: ztunnel of the caller's node, nothing",
        "west: east-west gateway 192.0.2.1, nothing",
        "west: ztunnel of the pod's node, L4",
        "west: pod, nothing",
      ],
    ],
  );
  const [, , gateway, ztunnel] = paths[0]!.hops;
  assert.match(gateway!.note, /must prove to be spiffe:\/\/cluster\.local\/ns\/istio-eastwest\/sa\/istio-eastwest$/);
  assert.match(ztunnel!.note, /policies of cluster west; it sees the caller/);
});

const get = authorization("only-get", {
  targetRefs: [{ group: "", kind: "Service", name: "cart" }],
  rules: [{ to: [{ operation: { methods: ["GET"] } }] }],
});

test("an L7 policy that callers of another cluster do not meet is a gap, and one of theirs that we do not meet is said, too", () => {
  const mesh = peered(["west"], [...ours("once"), cartPod("a", "10.0.0.1"), get]);
  mesh.hear(federated("west", THEIRS));
  const { warnings } = explained(mesh.registry, HOST);
  const gap = warnings.find(({ reason }) => reason === "policy gap");
  assert.deepEqual([gap?.object, gap?.field], ["AuthorizationPolicy shop/only-get", "spec.targetRefs"]);
  assert.match(
    gap!.message,
    /enforced by waypoint shop\/gate of this cluster\. Callers of cluster west pass their own shop\/far instead \(once\)/,
  );
  assert.match(gap!.fix, /waypoint-policy=destination/);
  const unmet = warnings.find(({ reason }) => reason === "policy not met");
  assert.match(unmet!.message, /L7 policies of waypoint shop\/far of cluster west do not fire/);
});

test("where this cluster enforces for all there is no gap", () => {
  const mesh = peered(["west"], [...ours("destination"), cartPod("a", "10.0.0.1"), get]);
  mesh.hear(federated("west", THEIRS));
  const reasons = explained(mesh.registry, HOST).warnings.map(({ reason }) => reason);
  assert.ok(!reasons.includes("policy gap") && !reasons.includes("policy not met"), reasons.join());
});

test("a waypoint that is asked for and not there, and an L7 rule that ztunnels deny for, are said", () => {
  const asks = cart("10.1.0.1", {}, { labels: { "solo.io/service-scope": "global", "istio.io/use-waypoint": "gone" } });
  const untargeted = authorization("l7", { action: "ALLOW", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] });
  const { warnings, waypoint } = explained(peered([], [asks, cartPod("a", "10.0.0.1"), untargeted]).registry, HOST);
  assert.equal(waypoint.here, "");
  assert.match(
    warnings.find(({ reason }) => reason === "no waypoint")!.message,
    /shop\/gone does not exist or has no address yet/,
  );
  assert.ok(warnings.some(({ reason, object }) => reason === "problem" && object === "AuthorizationPolicy shop/l7"));
});
