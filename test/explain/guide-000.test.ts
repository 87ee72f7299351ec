import assert from "node:assert/strict";
import { test } from "mocha";
import { explanationText } from "../../src/commands/explanation-text.ts";
import { PeeredRegistries } from "../kits/peered-registries.ts";
import { authorization, object } from "../registry/mesh.ts";
import { explained } from "./explained.ts";

/** The two clusters of guide 000, each with a waypoint, of which the caller's is to enforce. */
function guide(): PeeredRegistries {
  const mesh = new PeeredRegistries({
    east: { network: "network-east", doors: ["192.0.2.1"] },
    west: { network: "network-west", doors: ["192.0.2.2"] },
  });
  for (const [at, name] of ["east", "west"].entries()) {
    const labels = {
      "istio.io/dataplane-mode": "ambient",
      "topology.istio.io/network": `network-${name}`,
      "istio.io/use-waypoint": "waypoint",
    };
    mesh
      .site(name)
      .apply(
        object("v1", "Namespace", { name: "bookinfo", namespace: "", labels }),
        object("gateway.networking.k8s.io/v1", "Gateway", { name: "waypoint", namespace: "bookinfo" }, waypoint(at)),
        object("v1", "Service", { name: "reviews", namespace: "bookinfo", labels: GLOBAL }, reviews(at)),
        pod("reviews", `10.${at}.0.5`),
        pod("cart", `10.${at}.0.6`),
      );
  }
  mesh.linkAll();
  return mesh;
}

const AMBIENT = { "ambient.istio.io/redirection": "enabled" };
const GLOBAL = { "solo.io/service-scope": "global" };
const waypoint = (at: number) => ({
  spec: { gatewayClassName: "istio-waypoint", listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }] },
  status: { addresses: [{ type: "IPAddress", value: `10.${at}.0.9` }] },
});
const reviews = (at: number) => ({
  spec: {
    clusterIP: `10.${at}.1.1`,
    selector: { app: "reviews" },
    ports: [{ name: "http", port: 9080, targetPort: 9080 }],
  },
});
const pod = (name: string, ip: string) =>
  object(
    "v1",
    "Pod",
    { name: `${name}-1`, namespace: "bookinfo", labels: { app: name }, annotations: AMBIENT },
    {
      spec: { nodeName: "node-1", serviceAccountName: name },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
    },
  );
const readOnly = authorization("reviews-read-only", {
  targetRefs: [{ group: "", kind: "Service", name: "reviews" }],
  action: "ALLOW",
  rules: [{ to: [{ operation: { methods: ["GET"], paths: ["/reviews/*"] } }] }],
});

test("the paths of guide 000 are told hop by hop: which box enforces what, and which is not on the path", () => {
  const mesh = guide();
  const policy = { ...readOnly, metadata: { ...readOnly.metadata, namespace: "bookinfo" } };
  for (const name of ["east", "west"]) mesh.site(name).apply(policy);
  mesh.settle();
  const explanation = explained(mesh.site("east").registry, "reviews.bookinfo.mesh.internal", {
    from: "bookinfo/cart",
  });
  const text = explanationText(explanation, []);
  const paths = /\npaths\n((?: {2}.*\n)+)/.exec(text)?.[1];
  assert.equal(paths, PATHS, text);
  const narrow = explanationText(explanation, [], 40);
  assert.equal(/\npaths\n((?: {2}.*\n)+) {2}to west/.exec(narrow)?.[1], NARROW_PATHS, narrow);
  const lines = narrow.split("\n");
  assert.deepEqual(
    lines.filter((line) => line.length > 40 && line.trim().includes(" ") && !/^ *fix /.test(line)),
    [],
  );
  const words = (of: string): readonly string[] => of.replace(/\npaths\n(?: {2}.*\n)+/, "\n").split(/\s+/);
  assert.deepEqual(words(narrow), words(text), "nothing is left out");
});

const NARROW_PATHS = `  to east
    - pod of the caller (east)
      needs no proxy of its own
    1 ztunnel of the caller's node
      (east)
      finds the service by its address
        and proves to be the caller; the
        service has a waypoint, so it
        sends all there
    2 waypoint bookinfo/waypoint (east)
      enforces L4 and L7
      policies with targetRefs to it or
        to the Service; it chooses the
        endpoint, and calls on in its
        own name
    3 ztunnel of the pod's node (east)
      enforces L4
      policies of cluster east; it sees
        waypoint bookinfo/waypoint
    - pod (east)
      gets plain bytes; its ztunnel
        knows who called
`;

const PATHS = `  to east
    hop  component                            enforces
    -    pod of the caller (east)             -          needs no proxy of its own
    1    ztunnel of the caller's node (east)  -          finds the service by its address and proves to be the caller; the service has a waypoint, so it sends all there
    2    waypoint bookinfo/waypoint (east)    L4 and L7  policies with targetRefs to it or to the Service; it chooses the endpoint, and calls on in its own name
    3    ztunnel of the pod's node (east)     L4         policies of cluster east; it sees waypoint bookinfo/waypoint
    -    pod (east)                           -          gets plain bytes; its ztunnel knows who called
  to west
    hop  component                            enforces
    -    pod of the caller (east)             -                 needs no proxy of its own
    1    ztunnel of the caller's node (east)  -                 finds the service by its address and proves to be the caller; the service has a waypoint, so it sends all there
    2    waypoint bookinfo/waypoint (east)    L4 and L7         policies with targetRefs to it or to the Service; it chooses the endpoint, and calls on in its own name
    3    east-west gateway 192.0.2.2 (west)   -                 ends the outer tunnel and passes the inner one on, unopened; it must prove to be spiffe://cluster.local/ns/istio-eastwest/sa/istio-eastwest
    4    ztunnel of the pod's node (west)     L4                policies of cluster west; it sees waypoint bookinfo/waypoint
    -    pod (west)                           -                 gets plain bytes; its ztunnel knows who called
    -    waypoint bookinfo/waypoint (west)    not on this path  L7 was enforced before, or is not to be here
`;
