import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import type { KubeObject } from "../../src/registry/kube/object.ts";
import { authorization, object, peerAuthentication, pod, service, serviceEntry, testMesh } from "./mesh.ts";

const few = fc.constantFrom("a", "b", "c");
const modes = fc.constantFrom("STRICT", "PERMISSIVE", "DISABLE", "UNSET");
const labels = fc.record(
  { app: few, "istio.io/use-waypoint": fc.constantFrom("w", "none", "a") },
  { requiredKeys: [] },
);
const selector = fc.option(fc.record({ matchLabels: fc.record({ app: few }) }), { nil: undefined });
const home = fc.constantFrom("shop", "istio-system");

/** Objects of few names, so that they meet, replace and refer to each other; some cannot be read. */
const anyObject: fc.Arbitrary<KubeObject> = fc.oneof(
  fc.tuple(few, fc.constantFrom("10.0.0.1", "10.0.0.2", "oops"), labels).map(([name, ip, on]) => pod(name, ip, on)),
  fc
    .tuple(few, fc.constantFrom("10.1.0.1", "None", "x"), few)
    .map(([name, ip, app]) => service(name, ip, { selector: { app } })),
  fc.tuple(few, few, fc.constantFrom("10.1.0.1", "10.2.0.0/16"), few).map(([name, host, ip, app]) =>
    serviceEntry(name, {
      hosts: [`${host}.example.com`, "a.shop.svc.cluster.local"],
      addresses: [ip],
      ports: [{ number: 80 }],
      ...(app === "a" ? { workloadSelector: { labels: { app } } } : { endpoints: [{ address: "10.3.0.1" }] }),
      resolution: "STATIC",
    }),
  ),
  fc
    .tuple(few, selector, home, fc.constantFrom("ALLOW", "DENY"))
    .map(([name, selector, namespace, action]) =>
      authorization(name, { selector, action, rules: [{}] }, { namespace }),
    ),
  fc
    .tuple(few, selector, home, modes, modes)
    .map(([name, selector, namespace, mode, port]) =>
      peerAuthentication(name, { selector, mtls: { mode }, portLevelMtls: { 80: { mode: port } } }, { namespace }),
    ),
  labels.map((on) => object("v1", "Namespace", { name: "shop", namespace: undefined, labels: on })),
  fc
    .constantFrom("z1", "z2")
    .map((zone) =>
      object("v1", "Node", { name: "n1", namespace: undefined, labels: { "topology.kubernetes.io/zone": zone } }),
    ),
  fc
    .constantFrom("all", "service", "workload")
    .map((traffic) =>
      object(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        { name: "w", labels: { "istio.io/waypoint-for": traffic } },
        { status: { addresses: [{ type: "IPAddress", value: "10.1.0.9" }] } },
      ),
    ),
);
const step = fc.tuple(anyObject, fc.boolean(), fc.boolean());

const idOf = ({ kind, metadata }: KubeObject) => `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;

function contents({ registry }: ReturnType<typeof testMesh>) {
  const { workloads, services, policies, waypoints, problems } = registry;
  return [workloads, services, policies, waypoints, problems].map(
    (collection) => new Map<string, unknown>(collection.entries()),
  );
}

test("a registry that saw every change holds what one holds that saw the end only", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const living = testMesh();
      const objects = new Map<string, KubeObject>();
      for (const [written, remove, flush] of steps) {
        const id = idOf(written);
        if (remove && objects.delete(id)) living.intake.delete(written);
        else {
          objects.set(id, written);
          living.intake.set(written, "mesh.yaml:1");
        }
        if (flush) living.graph.flush();
      }
      living.graph.flush();
      assert.deepEqual(contents(living), contents(testMesh([...objects.values()])));
    }),
    { numRuns: 300 },
  );
});
