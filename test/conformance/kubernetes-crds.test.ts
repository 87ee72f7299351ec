import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { parseAllDocuments, stringify } from "yaml";
import { GATEWAYS, NAMESPACES, SERVICE_ENTRIES, SERVICES } from "../../src/kube/resource-types.ts";
import { CRDS, KubeLab, writeWhole } from "./kube-lab.ts";
import { oracle, sends } from "./oracle.ts";

/** A kind that is not there is looked for every 30 s. */
const FOUND_MS = 45_000;

suite("Causeway where kinds are missing", () => {
  let lab: KubeLab;
  before(async function () {
    lab = await KubeLab.open(this);
  });
  after(() => lab?.close());

  test("without any CRD it starts and says what is missing, and picks up each kind when it is installed", async () => {
    const cluster = await lab.cluster("Kubernetes", { crds: undefined });
    await cluster.client.put(NAMESPACES, { metadata: { name: "shop" } });
    const service = { clusterIP: "10.96.7.1", ports: [{ port: 80, protocol: "TCP" }] };
    await cluster.client.put(SERVICES, { metadata: { name: "cart", namespace: "shop" }, spec: service });
    const plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod") });
    const without = await oracle([cluster]);
    await sends(plane, without);
    for (const kind of [
      "ServiceEntry",
      "WorkloadEntry",
      "AuthorizationPolicy",
      "PeerAuthentication",
      "RequestAuthentication",
      "Gateway",
    ])
      assert.match(plane.log, new RegExp(`kind=${kind}`), `its log names ${kind}`);
    await cluster.client.kubectl("apply", "-f", CRDS);
    await cluster.client.kubectl("wait", "--for=condition=established", "crd", "--all");
    const spec = {
      hosts: ["ink.example"],
      addresses: ["240.9.9.9"],
      resolution: "STATIC",
      ports: [{ number: 80, name: "http" }],
      endpoints: [{ address: "10.9.1.1" }],
    };
    await cluster.client.put(SERVICE_ENTRIES, { metadata: { name: "ink", namespace: "shop" }, spec });
    const expected = await oracle([cluster]);
    assert.notDeepEqual(expected, without);
    const tookMs = await sends(plane, expected, FOUND_MS);
    console.log(`      found ${tookMs} ms after it was installed`);
  });

  test("a cluster that serves Gateways only as v1beta1 is read as that", async () => {
    const crds = join(lab.folder, "old-crds");
    for (const file of ["gateway-api.yaml", "istio.yaml"])
      writeWhole(join(crds, file), withoutGatewayV1(readFileSync(join(CRDS, file), "utf8")));
    const cluster = await lab.cluster("Kubernetes", { crds });
    const old = { ...GATEWAYS, versions: ["v1beta1"] };
    await cluster.client.put(NAMESPACES, {
      metadata: { name: "shop", labels: { "istio.io/use-waypoint": "gate" } },
    });
    const service = { clusterIP: "10.96.7.1", ports: [{ port: 80, protocol: "TCP" }] };
    await cluster.client.put(SERVICES, { metadata: { name: "cart", namespace: "shop" }, spec: service });
    const plane = await lab.causeway({ kubeconfig: await cluster.kubeconfigFor("istiod") });
    const without = await oracle([cluster]);
    await sends(plane, without);
    const listeners = [{ name: "mesh", port: 15008, protocol: "HBONE" }];
    await cluster.client.put(old, {
      metadata: { name: "gate", namespace: "shop" },
      spec: { gatewayClassName: "istio-waypoint", listeners },
      status: { addresses: [{ type: "IPAddress", value: "10.96.7.7" }] },
    });
    const expected = await oracle([cluster]);
    assert.notDeepEqual(expected, without);
    await sends(plane, expected);
  });
});

/** As clusters have it whose Gateway API is older than 1.0. */
function withoutGatewayV1(text: string): string {
  return parseAllDocuments(text)
    .map((document) => {
      const crd = document.toJS() as { spec: { group: string; versions: { name: string; served: boolean }[] } };
      if (crd.spec.group === "gateway.networking.k8s.io")
        for (const version of crd.spec.versions) version.served = version.name !== "v1";
      return stringify(crd);
    })
    .join("---\n");
}
