import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "mocha";
import { stringify } from "yaml";
import { loadGatewaySettings } from "../../../src/gateway/settings.ts";
import { applyRequest, type WantedObject } from "../../../src/kube/wanted-object.ts";
import { deployedMesh, eastWest, gateway, storedPart } from "./deployed-mesh.ts";

const golden = join(import.meta.dirname, "..", "..", "..", "..", "test", "registry", "gateways", "golden");
const [SERVICE, DEPLOYMENT] = ["Service shop/wp", "Deployment shop/wp"];

/** As they are sent, in the order of their kinds. `UPDATE=1` writes them anew. */
function assertGolden(name: string, wanted: readonly WantedObject[]): void {
  const bodies = wanted.map((object) => applyRequest(object, object.type.versions[0]!, "").body);
  const text = bodies.map((body) => stringify(body, { aliasDuplicateObjects: false })).join("---\n");
  const path = join(golden, `${name}.yaml`);
  if (process.env["UPDATE"] === "1") writeFileSync(path, text);
  assert.equal(text, readFileSync(path, "utf8"));
}

const partsOf = (wanted: Iterable<readonly [string, WantedObject]>): readonly WantedObject[] =>
  [...wanted].map(([, object]) => object).filter(({ owner }) => owner !== undefined);

const GUIDE_PORTS = `
spec:
  type: NodePort
  ports:
    - { name: tls-hbone, port: 15008, nodePort: 30015, protocol: TCP }
    - { name: tls-xds, port: 15012, nodePort: 30016, protocol: TCP }
`;

test("a waypoint is a ServiceAccount, a Service and a Deployment of its name, owned by it", () => {
  const { wanted } = deployedMesh([gateway()]);
  const parts = partsOf(wanted.anybodys.entries());
  assert.deepEqual(
    parts.map(({ type, namespace, name }) => `${type.kind} ${namespace}/${name}`),
    ["ServiceAccount shop/wp", "Service shop/wp", "Deployment shop/wp"],
  );
  for (const { owner } of parts) assert.equal(owner?.uid, "uid-gateway");
  assertGolden("waypoint", parts);
});

test("the east-west gateway of guide 001 is behind a NodePort Service with the ports that an annotation fixes", () => {
  const annotations = {
    "peering.solo.io/data-plane-service-type": "nodeport",
    "gateways.causeway.dev/node-ports": "15008=30015,15012=30016",
  };
  const { wanted } = deployedMesh([eastWest({ annotations })]);
  assertGolden("east-west", partsOf(wanted.anybodys.entries()));
});

test("the service.spec of the peering chart, as parameters, gives the same ports", () => {
  const infrastructure = { parametersRef: { group: "", kind: "ConfigMap", name: "east-west" } };
  const { of, configure } = deployedMesh([eastWest({ namespace: "shop", annotations: {} }, { infrastructure })]);
  const KEY = "Service shop/istio-eastwest";
  assert.equal(of(KEY), undefined, "nothing is made before it is known what the parameters say");
  configure("east-west", { service: GUIDE_PORTS });
  const { type, ports } = of(KEY)!.fields!["spec"] as { type: string; ports: { port: number; nodePort?: number }[] };
  assert.equal(type, "NodePort");
  assert.deepEqual(
    ports.map(({ port, nodePort }) => [port, nodePort]),
    [
      [15021, undefined],
      [15008, 30015],
      [15012, 30016],
    ],
  );
});

test("what is there as it is wanted is not written; an edit of ours, or what is no longer wanted, is", () => {
  const { of, store, apply } = deployedMesh([gateway()]);
  const wanted = of(DEPLOYMENT)!;
  assert.deepEqual([wanted.found, wanted.guard], ["different", { uid: undefined }]);
  const there = storedPart(wanted);
  const spec = there["spec"] as { template: { spec: { containers: object[] } } };
  const withDefaults = { ...spec, replicas: 3, progressDeadlineSeconds: 600 };
  store({ ...there, spec: withDefaults });
  assert.deepEqual([of(DEPLOYMENT)?.found, of(DEPLOYMENT)?.guard], ["same", { uid: "uid-of-Deployment-wp" }]);
  const pod = { ...spec.template.spec, containers: [{ ...spec.template.spec.containers[0], image: "evil" }] };
  store({ ...there, spec: { ...spec, template: { ...spec.template, spec: pod } } });
  assert.equal(of(DEPLOYMENT)?.found, "different");
  store(there);
  apply(gateway({}, { infrastructure: { labels: { team: "a" } } }));
  assert.equal(of(DEPLOYMENT)?.found, "different");
  store(storedPart(of(DEPLOYMENT)!));
  assert.equal(of(DEPLOYMENT)?.found, "same");
  apply(gateway());
  assert.equal(of(DEPLOYMENT)?.found, "different", "the label that nobody asks for any more is to go");
});

test("numbers that the API server writes its own way are the same", () => {
  const { of, store } = deployedMesh([gateway()], { resources: { requests: { cpu: "1000m" }, limits: {} } });
  const text = JSON.stringify(storedPart(of(DEPLOYMENT)!)).replace('"1000m"', '"1"');
  store(JSON.parse(text) as ReturnType<typeof storedPart>);
  assert.equal(of(DEPLOYMENT)?.found, "same");
});

test("infrastructure's labels and annotations are on all that is made, and change nothing that finds it", () => {
  const labels = { team: "a", "gateway.networking.k8s.io/gateway-name": "other" };
  const { of } = deployedMesh([gateway({}, { infrastructure: { labels, annotations: { "cloud/lb": "internal" } } })]);
  for (const key of [SERVICE, DEPLOYMENT, "ServiceAccount shop/wp"]) {
    assert.equal(of(key)?.labels?.["team"], "a");
    assert.equal(of(key)?.labels?.["gateway.networking.k8s.io/gateway-name"], "wp");
    assert.equal(of(key)?.annotations?.["cloud/lb"], "internal");
  }
});

const parametersRef = { group: "", kind: "ConfigMap", name: "sizes" };
const sized = gateway({}, { infrastructure: { parametersRef } });

test("parameters change containers, and not who the pods are nor how they are found", () => {
  const { of, configure } = deployedMesh([sized]);
  const deployment = `
metadata: { name: other, labels: { gateway.istio.io/managed: nobody } }
spec:
  selector: { matchLabels: { app: other } }
  template:
    spec:
      serviceAccountName: admin
      nodeSelector: { disk: fast }
      containers: [{ name: envoy, resources: { limits: { memory: 2Gi } } }]
`;
  configure("sizes", { deployment });
  const { name, labels, fields } = of(DEPLOYMENT)!;
  const { selector, template } = fields!["spec"] as {
    selector: { matchLabels: object };
    template: { spec: { serviceAccountName: string; nodeSelector: object; containers: Record<string, never>[] } };
  };
  assert.deepEqual([name, labels?.["gateway.istio.io/managed"]], ["wp", "istio.io-mesh-controller"]);
  assert.deepEqual(selector.matchLabels, { "gateway.networking.k8s.io/gateway-name": "wp" });
  assert.deepEqual([template.spec.serviceAccountName, template.spec.nodeSelector], ["wp", { disk: "fast" }]);
  assert.equal(template.spec.containers.length, 1);
  assert.deepEqual(template.spec.containers[0]!["resources"], {
    requests: { cpu: "100m", memory: "128Mi" },
    limits: { memory: "2Gi" },
  });
});

test("parameters that take away what all objects have change no more than they say, and end nothing", () => {
  const { of, configure } = deployedMesh([sized]);
  const nothings = ["null", "text", "5", "[]", "[null]", "{ labels: null, annotations: [text] }", "{ labels: text }"];
  const specs = ["null", "text", "{ template: null }", "{ template: { spec: null } }", "{ template: { spec: text } }"];
  const containers = ["null", "[null]", "[text, { name: envoy }]", "[{ $patch: delete }]", "{ name: envoy }"];
  for (const deployment of [
    "$patch: replace",
    ...nothings.map((value) => `metadata: ${value}`),
    ...specs.map((value) => `spec: ${value}`),
    ...containers.map((value) => `spec: { template: { spec: { containers: ${value} } } }`),
  ]) {
    configure("sizes", { deployment, service: deployment, horizontalPodAutoscaler: deployment });
    for (const key of [DEPLOYMENT, SERVICE]) {
      assert.equal(of(key)?.labels?.["gateway.networking.k8s.io/gateway-name"], "wp", deployment);
      applyRequest(of(key)!, of(key)!.type.versions[0]!, "");
    }
    const { template } = of(DEPLOYMENT)!.fields!["spec"] as { template: { spec: { serviceAccountName: string } } };
    assert.equal(template.spec.serviceAccountName, "wp", deployment);
  }
});

test("an autoscaler is there while the parameters ask for it, and replicas are its business then", () => {
  const { of, configure, store } = deployedMesh([sized], { replicas: 2 });
  const AUTOSCALER = "HorizontalPodAutoscaler shop/wp";
  const replicas = () => (of(DEPLOYMENT)!.fields!["spec"] as { replicas?: number }).replicas;
  configure("sizes", { horizontalPodAutoscaler: "spec: { minReplicas: 2, maxReplicas: 5 }" });
  assert.deepEqual(
    [replicas(), (of(AUTOSCALER)!.fields!["spec"] as { maxReplicas: number }).maxReplicas],
    [undefined, 5],
  );
  const there = storedPart(of(AUTOSCALER)!);
  configure("sizes", {});
  assert.deepEqual([replicas(), of(AUTOSCALER)], [2, undefined], "what was not seen is not deleted");
  store(there);
  const { gone, guard, resourceVersion } = of(AUTOSCALER)!;
  assert.deepEqual([gone, guard, resourceVersion], [true, { uid: there.metadata.uid }, "1"]);
  store({ ...there, metadata: { ...there.metadata, ownerReferences: [] } });
  assert.equal(of(AUTOSCALER), undefined, "somebody else's stays");
});

test("parameters that cannot be read change nothing of what is deployed, and the Gateway says why", () => {
  const { of, configure, message, verdicts } = deployedMesh([sized]);
  for (const [data, why] of [
    [{ deploymnet: "" }, /ConfigMap shop\/sizes, .* has the key deploymnet; known are deployment, service/],
    [{ deployment: "a: [" }, /cannot be read: data\.deployment, line 1/],
    [{ deployment: "- a" }, /has a data\.deployment that is no map/],
  ] as const) {
    configure("sizes", data);
    assert.equal(of(DEPLOYMENT), undefined);
    assert.deepEqual(verdicts(), ["Accepted=False InvalidParameters", "Programmed=False Invalid"]);
    assert.match(message("Accepted"), why);
  }
});

test("SPIRE's socket is mounted where it is asked for, and then there is no token for the mesh's own CA", () => {
  const workload = { api: "workload", socket: "/run/spire/agent-sockets/spire-agent.sock" };
  const pod = ["k8s:ns:shop", "k8s:sa:wp", "k8s:pod-name:wp-1", "k8s:pod-uid:uid-1"];
  for (const [name, spire, source] of [
    ["waypoint-spire", "csi", workload],
    ["waypoint-spire-node", { hostPath: "/run/spire/agent-sockets" }, workload],
    [
      "waypoint-spire-delegate",
      { adminSocket: "/run/spire/agent/sockets/admin.sock" },
      { api: "delegated", socket: "/run/spire/admin/admin.sock", asks: pod },
    ],
  ] as const) {
    const { of } = deployedMesh([gateway()], { spire });
    const deployment = of(DEPLOYMENT)!;
    assertGolden(name, [deployment]);
    const { template } = deployment.fields!["spec"] as { template: PodTemplate };
    assert.equal(template.metadata.labels["istio.io/gateway-name"], "wp", "what guide 002 selects waypoints by");
    const { volumes, initContainers } = template.spec;
    const [agent] = initContainers;
    const read = loadGatewaySettings({}, Object.fromEntries(agent!.env.map(asKubelet)));
    assert.deepEqual(read.spire, { ...source, serviceAccount: "wp" }, "what the agent makes of its variables");
    const { mountPath } = agent!.volumeMounts.find(({ name: volume }) => volume === "spire")!;
    assert.equal(dirname(source.socket), mountPath);
    assert.doesNotMatch(JSON.stringify(volumes), /serviceAccountToken/);
  }
});

interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}

/** As the kubelet does for pod wp-1. */
function asKubelet({ name, value, valueFrom }: Variable): readonly [string, string] {
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": "wp-1",
    "metadata.namespace": "shop",
    "metadata.uid": "uid-1",
    "status.podIP": "10.0.0.7",
    "spec.serviceAccountName": "wp",
  };
  return [name, value ?? fields[valueFrom?.fieldRef?.fieldPath ?? ""] ?? ""];
}

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly volumes: readonly object[];
    readonly initContainers: readonly {
      readonly env: readonly Variable[];
      readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    }[];
  };
}

test("an account that an annotation names is its owner's, and is not made", () => {
  const annotations = { "gateway.istio.io/service-account": "edge" };
  const { of, apply, verdicts, message } = deployedMesh([gateway({ annotations })]);
  assert.equal(of("ServiceAccount shop/edge") ?? of("ServiceAccount shop/wp"), undefined);
  assert.match(message("Programmed"), /ServiceAccount shop\/edge, .* does not exist; make it/);
  apply({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "edge", namespace: "shop" } });
  assert.deepEqual(verdicts(), ["Accepted=True Accepted", "Programmed=False Pending"]);
});
