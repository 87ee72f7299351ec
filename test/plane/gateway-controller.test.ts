import assert from "node:assert/strict";
import { afterEach, test } from "mocha";
import type { Environment } from "../../src/command.ts";
import type { ResourceType } from "../../src/kube/api.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import * as types from "../../src/kube/resource-types.ts";
import { object } from "../registry/mesh.ts";
import { KubernetesLab } from "./kubernetes-lab.ts";

const { AUTOSCALERS, DEPLOYMENTS, GATEWAYS, GATEWAY_CLASSES, SERVICES } = types;

const labs: KubernetesLab[] = [];
afterEach(async () => {
  for (const lab of labs.splice(0)) await lab.close();
});

/** A control plane that may write; `before` changes its API server before anything is asked. */
async function plane(environment: Environment = {}, before: (lab: KubernetesLab) => void = () => {}) {
  const lab = new KubernetesLab(["east"], { environment });
  labs.push(lab);
  before(lab);
  const { clusters } = await lab.start();
  clusters.publishTrust("PEM", "");
  const server = lab.server("east");
  const names = (type: ResourceType): readonly string[] => server.list(type).map(({ metadata }) => metadata.name);
  const programmed = (name: string): string => {
    const { conditions = [] } = (server.get(GATEWAYS, "shop", name)?.["status"] ?? {}) as {
      readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
    };
    const found = conditions.find(({ type }) => type === "Programmed");
    return `${found?.status} ${found?.reason}`;
  };
  const asked = (resource: string): readonly string[] =>
    server.requests.filter((request) => request.path.includes(`/${resource}`)).map(({ verb }) => verb);
  return { lab, clusters, server, names, programmed, asked };
}

const gateway = (name: string, spec: object = {}): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "Gateway",
    { name, generation: 1 },
    {
      spec: {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15008, protocol: "HBONE" }],
        ...spec,
      },
    },
  );

const parametersRef = { group: "", kind: "ConfigMap", name: "sizes" };
const sizes = (data: object): KubeObject => object("v1", "ConfigMap", { name: "sizes" }, { data });

test("a Gateway becomes a Deployment, and is programmed when that runs", async () => {
  const { lab, server, names, programmed } = await plane();
  lab.put("east", gateway("wp"));
  await lab.pass(5_000);
  assert.deepEqual([names(DEPLOYMENTS), names(SERVICES)], [["wp"], ["wp"]]);
  assert.deepEqual([...names(GATEWAY_CLASSES)].sort(), [
    "istio-east-west",
    "istio-eastwest",
    "istio-remote",
    "istio-waypoint",
  ]);
  // This API server gives no addresses by itself.
  assert.equal(programmed("wp"), "False AddressNotAssigned");
  const service = server.get(SERVICES, "shop", "wp")!;
  server.put({ ...service, spec: { ...(service["spec"] as object), clusterIP: "10.96.0.7" } });
  server.put({ ...server.get(DEPLOYMENTS, "shop", "wp")!, status: { availableReplicas: 1 } });
  await lab.pass(30_000);
  assert.equal(programmed("wp"), "True Programmed");
});

test("parameters are followed as long as a Gateway names them, and no other ConfigMap is asked for", async () => {
  const { lab, server, names, programmed, asked } = await plane();
  lab.put("east", gateway("wp", { infrastructure: { parametersRef } }));
  await lab.pass(10_000);
  assert.deepEqual([names(DEPLOYMENTS), programmed("wp")], [[], "False Invalid"]);
  lab.put("east", sizes({ horizontalPodAutoscaler: "spec: { maxReplicas: 3 }" }));
  await lab.pass(5_000);
  assert.deepEqual([names(DEPLOYMENTS), names(AUTOSCALERS)], [["wp"], ["wp"]]);
  lab.put("east", sizes({}));
  await lab.pass(5_000);
  assert.deepEqual(names(AUTOSCALERS), []);
  const read = server.requests.filter(({ path }) => /\/namespaces\/shop\/configmaps\?/.test(path));
  assert.ok(read.length > 0);
  assert.ok(read.every(({ path }) => decodeURIComponent(path).includes("fieldSelector=metadata.name=sizes")));
  lab.put("east", gateway("wp"));
  await lab.pass(5_000);
  const before = asked("configmaps").length;
  lab.put("east", sizes({ horizontalPodAutoscaler: "spec: { maxReplicas: 3 }" }));
  await lab.pass(5_000);
  assert.deepEqual([names(AUTOSCALERS), asked("configmaps").length], [[], before]);
});

test("without the right to read Deployments nothing is written, and the problem names the rules that are missing", async () => {
  const { lab, clusters, names, programmed } = await plane({}, (lab) => {
    lab.server("east").faults.forbidden = ({ resource }) => resource === "deployments";
  });
  lab.put("east", gateway("wp"));
  await lab.pass(60_000);
  assert.deepEqual([names(SERVICES), programmed("wp")], [[], "undefined undefined"]);
  const [problem] = clusters.problems();
  assert.match(problem!.message, /grant what deploy\/rbac\/gateways\.yaml does, or turn --gateway-controller off/);
  lab.server("east").faults.forbidden = undefined;
  await lab.pass(60_000);
  assert.deepEqual([names(SERVICES), clusters.problems()], [["wp"], []]);
});

test("without the right to autoscalers all else is deployed", async () => {
  const { lab, names } = await plane({}, (lab) => {
    lab.server("east").faults.forbidden = ({ resource }) => resource === "horizontalpodautoscalers";
  });
  lab.put("east", gateway("wp"));
  await lab.pass(20_000);
  assert.deepEqual(names(DEPLOYMENTS), ["wp"]);
});

test("a class of another controller is a problem that names it", async () => {
  const theirs = object("gateway.networking.k8s.io/v1", "GatewayClass", { name: "istio-waypoint" });
  const { lab, clusters, names } = await plane({}, (lab) =>
    lab.put("east", { ...theirs, metadata: { name: "istio-waypoint" }, spec: { controllerName: "example.com/c" } }),
  );
  lab.put("east", gateway("wp"));
  await lab.pass(10_000);
  assert.deepEqual(names(DEPLOYMENTS), []);
  assert.match(clusters.problems()[0]!.message, /spec\.controllerName is "example\.com\/c"/);
});

test("switched off, it asks for nothing and writes nothing", async () => {
  const { lab, names, programmed, asked } = await plane({
    PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER: "false",
  });
  lab.put("east", gateway("wp"));
  await lab.pass(60_000);
  assert.deepEqual([asked("deployments"), names(SERVICES), names(GATEWAY_CLASSES)], [[], [], []]);
  assert.equal(programmed("wp"), "undefined undefined");
});
