import assert from "node:assert/strict";
import { test } from "mocha";
import type { KubeObject } from "../../src/kube/object.ts";
import { clusterId } from "../../src/names.ts";
import { PodlessEndpoints } from "../../src/plane/podless-endpoints.ts";
import { Graph } from "../../src/registry/collection/graph.ts";
import { Intake } from "../../src/registry/kube/intake.ts";
import { objectSources } from "../../src/registry/kube/objects.ts";
import { TestHost } from "../kits/test-host.ts";

function lab() {
  const graph = new Graph();
  const objects = objectSources(graph);
  const host = new TestHost();
  const intakes = ["east", "west"].map((cluster) => new Intake(clusterId(cluster), objects, "default"));
  const apply = (at: 0 | 1, ...put: readonly KubeObject[]): void => {
    for (const object of put) intakes[at]!.set(object, "");
    graph.flush();
  };
  const podless = new PodlessEndpoints(host, objects);
  return { host, apply, podless, found: () => host.metric("endpoint_no_pod") };
}

const pod = (name: string): KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop" },
  spec: { serviceAccountName: "cart" },
});

const slice = (name: string, ...pods: readonly string[]): KubeObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name, namespace: "shop", labels: { "kubernetes.io/service-name": "cart" } },
  addressType: "IPv4",
  ports: [],
  endpoints: [
    { addresses: ["192.0.2.9"] },
    ...pods.map((target, at) => ({
      addresses: [`10.0.0.${at}`],
      targetRef: { kind: "Pod", namespace: "shop", name: target },
    })),
  ],
});

test("endpoints that name a pod which is not known are counted, each in its own cluster, until it is", async () => {
  const { host, apply, found } = lab();
  apply(0, slice("cart-1", "cart-a", "cart-b"), pod("cart-a"));
  apply(1, slice("cart-1", "cart-a"));
  await host.clock.pass(15_001);
  assert.equal(found(), 2);
  apply(0, pod("cart-b"));
  apply(1, pod("cart-a"));
  await host.clock.pass(15_001);
  assert.equal(found(), 0);
});

test("many slices are looked at a hundred a turn, so that all else goes on", async () => {
  const { host, apply, podless, found } = lab();
  apply(0, ...Array.from({ length: 250 }, (_, at) => slice(`cart-${at}`, "gone")));
  let saidAtOnce = true;
  host.clock.after(15_000, () => void (saidAtOnce = host.series.includes("endpoint_no_pod")));
  await host.clock.pass(15_001);
  assert.equal(saidAtOnce, false, "who is due at the same time comes before the second hundred");
  assert.equal(found(), 250);
  podless[Symbol.dispose]();
  assert.equal(host.clock.pending, 0);
});
