import assert from "node:assert/strict";
import { test } from "mocha";
import { clusterId } from "../../../src/names.ts";
import { fieldsOf, listOf } from "../../../src/registry/embedded/fields.ts";
import { objectUid } from "../../../src/registry/embedded/object-uid.ts";
import { deployment, ipOf, Lab, nodeOf } from "./lab.ts";

const workload = (apiVersion: string, kind: string, name: string, spec: string): string =>
  `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  ${spec}\n`;
const template = "template: {metadata: {labels: {app: x}}, spec: {containers: []}}";
const node = (name: string, labels = "") =>
  `apiVersion: v1\nkind: Node\nmetadata: {name: ${name}, labels: {${labels}}}\n`;
const service = (name: string, spec: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec: {${spec}}\n`;

test("a Deployment has as many pods as replicas, each owned by the ReplicaSet of its template", () => {
  const lab = new Lab().apply({ "a.yaml": deployment("cart", 3) });
  const [replicaSet] = lab.all("ReplicaSet");
  const hash = replicaSet!.metadata.labels!["pod-template-hash"]!;
  assert.equal(replicaSet!.metadata.name, `cart-${hash}`);
  assert.equal(lab.all("Pod").length, 3);
  for (const pod of lab.all("Pod")) {
    assert.match(pod.metadata.name, new RegExp(`^cart-${hash}-[a-z0-9]{5}$`));
    assert.equal(pod.metadata.generateName, `cart-${hash}-`);
    assert.deepEqual(pod.metadata.ownerReferences?.[0]?.name, replicaSet!.metadata.name);
    assert.equal(pod.metadata.uid, objectUid(clusterId("east"), "Pod", "shop", pod.metadata.name));
    assert.equal(fieldsOf(pod["spec"])["serviceAccountName"], "default");
  }
  assert.equal(lab.apply({ "a.yaml": deployment("cart", 0) }).all("Pod").length, 0);
});

test("a replica more or less leaves the other pods the same objects", () => {
  const lab = new Lab().apply({ "a.yaml": deployment("cart", 3) });
  const before = new Map(lab.all("Pod").map((pod) => [pod.metadata.name, pod]));
  lab.apply({ "a.yaml": deployment("cart", 4) });
  const kept = lab.all("Pod").filter((pod) => before.get(pod.metadata.name) !== undefined);
  assert.equal(kept.length, 3);
  assert.equal(lab.all("Pod").length, 4);
  const unrelated = lab.apply({ "b.yaml": deployment("till", 2) });
  for (const pod of kept) assert.equal(unrelated.get(`Pod/shop/${pod.metadata.name}`), pod);
});

test("each kind of workload makes the pods its controller would make", () => {
  const lab = new Lab().apply({
    "a.yaml": [
      workload("apps/v1", "StatefulSet", "db", `replicas: 2\n  serviceName: db\n  ${template}`),
      workload("apps/v1", "DaemonSet", "agent", template),
      workload("apps/v1", "ReplicaSet", "rs", `replicas: 2\n  ${template}`),
      workload("batch/v1", "Job", "load", `parallelism: 2\n  completions: 5\n  ${template}`),
      workload("batch/v1", "CronJob", "nightly", `schedule: "0 0 * * *"`),
      "apiVersion: v1\nkind: Pod\nmetadata: {name: lone, namespace: shop}\nspec: {containers: []}\n",
    ].join("---\n"),
  });
  const names = lab.all("Pod").map((pod) => pod.metadata.name.replace(/-[bcdfghjklmnpqrstvwxz2-9]{5}$/, "-*"));
  assert.deepEqual(
    names,
    ["db-0", "db-1", "agent-*", "agent-*", "rs-*", "rs-*", "load-*", "load-*", "lone"].sort(
      (a, b) => names.indexOf(a) - names.indexOf(b),
    ),
  );
  const agents = lab.all("Pod").filter((pod) => pod.metadata.name.startsWith("agent-"));
  assert.deepEqual(agents.map(nodeOf), ["node-1", "node-2"]);
  assert.match(lab.problems.join("\n"), /a\.yaml:\d+ CronJob shop\/nightly: it has no pods/);
});

test("what was made of a workload and stands beside it is not made twice", () => {
  const exported = new Lab().apply({ "a.yaml": deployment("cart", 2) });
  const [replicaSet] = exported.all("ReplicaSet");
  const pods = exported.all("Pod").map((pod) => JSON.stringify(pod));
  const text = [deployment("cart", 2), JSON.stringify(replicaSet), ...pods].join("\n---\n");
  const lab = new Lab().apply({ "all.yaml": text });
  assert.deepEqual(lab.pods, exported.pods);
});

test("a new process with nothing saved, and one with what was saved, place and address every pod the same", () => {
  const files = {
    "a.yaml": deployment("cart", 5),
    "b.yaml": deployment("till", 5),
    "c.yaml": service("cart", "selector: {app: cart}"),
  };
  const first = new Lab().apply(files);
  const again = new Lab().apply(files);
  assert.deepEqual(again.settled.objects, first.settled.objects);
  const restarted = new Lab({}, JSON.parse(JSON.stringify(first.controllers.assignments))).apply(files);
  assert.deepEqual(restarted.settled.objects, first.settled.objects);
  assert.equal(restarted.settled.assigned, false);
});

test("pods keep node and address when nodes join, when others come and go, and after they were away", () => {
  const lab = new Lab().apply({ "n.yaml": node("a") + "---\n" + node("b"), "a.yaml": deployment("cart", 4) });
  const before = lab.pods;
  assert.deepEqual(new Set(Object.values(before).map((at) => at.split(" ")[1])), new Set(["a", "b"]));
  lab.apply({ "m.yaml": node("c"), "b.yaml": deployment("till", 50) });
  for (const [name, at] of Object.entries(before)) assert.equal(lab.pods[name], at);
  lab.apply({ "a.yaml": undefined });
  assert.equal(lab.all("Pod").length, 50);
  lab.apply({ "b.yaml": undefined, "a.yaml": deployment("cart", 4) });
  assert.deepEqual(lab.pods, before);
});

test("a pod goes only where its nodeSelector leads, and stays pending with a problem if that is nowhere", () => {
  const lab = new Lab().apply({
    "n.yaml": [node("a", "disk: ssd"), node("b")].join("---\n"),
    "a.yaml": deployment("fast", 2, "nodeSelector: {disk: ssd}"),
    "b.yaml": deployment("lost", 2, "nodeSelector: {disk: tape}"),
  });
  assert.deepEqual(lab.all("Pod").map(nodeOf), ["a", "a", "", ""]);
  assert.deepEqual(
    lab.all("Pod").map((pod) => fieldsOf(pod["status"])["phase"]),
    ["Running", "Running", "Pending", "Pending"],
  );
  assert.equal(lab.problems.length, 1);
  assert.match(lab.problems[0]!, /^b\.yaml:1 Pod shop\/lost-.*no node has \{"disk":"tape"\}/);
});

test("a hostNetwork pod has its node's address", () => {
  const lab = new Lab().apply({ "a.yaml": deployment("agent", 1, "hostNetwork: true") });
  const [pod] = lab.all("Pod");
  assert.match(ipOf(pod!), /^172\.18\./);
  assert.equal(ipOf(pod!), fieldsOf(pod!["status"])["hostIP"]);
});

test("an exhausted range is one problem, and the pods that have an address keep it", () => {
  const lab = new Lab({ podCidr: "10.1.0.0/29" }).apply({ "a.yaml": deployment("cart", 4) });
  const before = lab.pods;
  lab.apply({ "b.yaml": deployment("till", 9) });
  assert.equal(lab.all("Pod").filter((pod) => ipOf(pod) !== "").length, 5);
  for (const [name, at] of Object.entries(before)) assert.equal(lab.pods[name], at);
  assert.equal(lab.problems.length, 1);
  assert.match(lab.problems[0]!, /and 7 more got no address: the podCidr is exhausted/);
  lab.apply({ "a.yaml": undefined, "b.yaml": deployment("till", 5) });
  assert.equal(lab.all("Pod").filter((pod) => ipOf(pod) !== "").length, 5);
  assert.deepEqual(lab.problems, []);
});

test("no two pods, and no two services, share an address among thousands", () => {
  const services = Array.from({ length: 500 }, (_, at) => service(`s${at}`, "ports: []")).join("---\n");
  const lab = new Lab().apply({ "a.yaml": deployment("cart", 5000), "s.yaml": services });
  assert.equal(new Set(lab.all("Pod").map(ipOf)).size, 5000);
  assert.equal(new Set(lab.all("Service").map((each) => fieldsOf(each["spec"])["clusterIP"])).size, 500);
});

test("an address stated in a manifest is nobody else's, even if it was handed out before", () => {
  const lab = new Lab().apply({ "a.yaml": service("cart", "ports: []") });
  const taken = String(fieldsOf(lab.get("Service/shop/cart")!["spec"])["clusterIP"]);
  lab.apply({ "b.yaml": service("till", `clusterIP: ${taken}`) });
  assert.equal(fieldsOf(lab.get("Service/shop/till")!["spec"])["clusterIP"], taken);
  assert.notEqual(fieldsOf(lab.get("Service/shop/cart")!["spec"])["clusterIP"], taken);
});

test("a headless Service keeps None and an ExternalName gets nothing", () => {
  const lab = new Lab().apply({
    "a.yaml":
      service("db", "clusterIP: None") + "---\n" + service("ext", "type: ExternalName, externalName: example.com"),
  });
  assert.deepEqual(fieldsOf(lab.get("Service/shop/db")!["spec"])["clusterIPs"], ["None"]);
  assert.equal(fieldsOf(lab.get("Service/shop/ext")!["spec"])["clusterIP"], undefined);
});

test("a Service's slices name its pods, with named ports resolved and readiness", () => {
  const lab = new Lab().apply({
    "a.yaml": deployment("cart", 2),
    "s.yaml": service("cart", "selector: {app: cart}, ports: [{name: web, port: 80, targetPort: http}]"),
    "m.yaml": service("manual", "ports: [{port: 80}]"),
  });
  const [slice, ...others] = lab.all("EndpointSlice");
  assert.deepEqual(others, []);
  assert.deepEqual(slice!["ports"], [{ name: "web", port: 9080, protocol: "TCP" }]);
  const endpoints = () => listOf(lab.all("EndpointSlice")[0]!["endpoints"]).map(fieldsOf);
  assert.deepEqual(
    endpoints().map((endpoint) => fieldsOf(endpoint["targetRef"])["uid"]),
    lab.all("Pod").map((pod) => pod.metadata.uid),
  );
  const names = Object.keys(lab.pods);
  lab.apply({ "a.yaml": deployment("cart", 2, "", 'causeway.dev/ready: "false"') });
  assert.deepEqual(Object.keys(lab.pods), names, "readiness is not another template");
  assert.deepEqual(
    endpoints().map((endpoint) => fieldsOf(endpoint["conditions"])["ready"]),
    [false, false],
  );
});

test("Endpoints of a Service without a selector become a slice", () => {
  const endpoints =
    "apiVersion: v1\nkind: Endpoints\nmetadata: {name: manual, namespace: shop}\nsubsets: [{addresses: [{ip: 10.9.9.9}], ports: [{port: 80}]}]\n";
  const lab = new Lab().apply({ "a.yaml": `${service("manual", "ports: [{port: 80}]")}---\n${endpoints}` });
  const [slice] = lab.all("EndpointSlice");
  assert.equal(slice!.metadata.labels!["kubernetes.io/service-name"], "manual");
  assert.deepEqual(slice!["endpoints"], [{ addresses: ["10.9.9.9"], conditions: { ready: true } }]);
});

test("ambient redirects the pods of a labelled namespace, and a pod's own label wins", () => {
  const pod = (name: string, labels: string, spec = "") =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: {${labels}}}\nspec: {${spec}}\n`;
  const pods = [
    pod("plain", ""),
    pod("out", "istio.io/dataplane-mode: none"),
    pod("host", "", "hostNetwork: true"),
  ].join("---\n");
  const lab = new Lab().apply({ "p.yaml": pods });
  const redirected = () =>
    lab
      .all("Pod")
      .filter((each) => each.metadata.annotations?.["ambient.istio.io/redirection"] === "enabled")
      .map((each) => each.metadata.name);
  assert.deepEqual(redirected(), []);
  lab.apply({
    "ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}\n",
  });
  assert.deepEqual(redirected(), ["plain"]);
});

test("a waypoint gets a native tunnel pod, a Service with port 15008 and an address, unless it has one", () => {
  const gateway = (name: string, className: string, status = "") =>
    `apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: ${name}, namespace: shop}\nspec: {gatewayClassName: ${className}, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n${status}`;
  const lab = new Lab().apply({
    "g.yaml": [
      gateway("waypoint", "istio-waypoint"),
      gateway("ingress", "nginx"),
      gateway("given", "istio-waypoint", "status: {addresses: [{value: 10.0.0.9}]}"),
    ].join("---\n"),
  });
  const [pod, ...others] = lab.all("Pod");
  assert.deepEqual(others, []);
  assert.equal(pod!.metadata.labels!["networking.istio.io/tunnel"], "http");
  assert.equal(pod!.metadata.labels!["gateway.networking.k8s.io/gateway-name"], "waypoint");
  assert.equal(fieldsOf(pod!["spec"])["serviceAccountName"], "waypoint");
  const ports = listOf(fieldsOf(lab.get("Service/shop/waypoint")!["spec"])["ports"]).map(
    (port) => fieldsOf(port)["port"],
  );
  assert.deepEqual(ports, [15021, 15008]);
  assert.equal(
    lab.get("Service/shop/waypoint")!.metadata.labels!["gateway.istio.io/managed"],
    "istio.io-mesh-controller",
  );
  const address = fieldsOf(listOf(fieldsOf(lab.get("Gateway/shop/waypoint")!["status"])["addresses"])[0]);
  assert.deepEqual(address, { type: "Hostname", value: "waypoint.shop.svc.cluster.local" });
});

test("a node that states where others reach it from outside keeps that beside the address it is given", () => {
  const lab = new Lab().apply({
    "n.yaml":
      "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n" +
      "status: {addresses: [{type: ExternalIP, address: 198.51.100.1}]}",
  });
  const addresses = listOf(fieldsOf(lab.get("Node//n1")!["status"])["addresses"]).map(fieldsOf);
  assert.deepEqual(
    addresses.map(({ type }) => type),
    ["InternalIP", "ExternalIP", "Hostname"],
  );
  assert.match(String(addresses[0]!["address"]), /^172\.18\./);
  assert.equal(addresses[1]!["address"], "198.51.100.1");
});

test("an east-west gateway that asks for an address has it, as from a load balancer", () => {
  const lab = new Lab().apply({
    "g.yaml":
      "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: door, namespace: shop}\n" +
      "spec: {gatewayClassName: istio-eastwest, addresses: [{type: IPAddress, value: 192.0.2.7}]}\n",
  });
  const { addresses } = fieldsOf(lab.get("Gateway/shop/door")!["status"]);
  assert.deepEqual(addresses, [{ type: "IPAddress", value: "192.0.2.7" }]);
});

test("namespaces that are only mentioned exist, and objects without one are in default", () => {
  const lab = new Lab().apply({
    "a.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n",
    "b.yaml": deployment("cart", 1),
  });
  assert.deepEqual(
    lab
      .all("Namespace")
      .map((each) => each.metadata.name)
      .sort(),
    ["default", "shop"],
  );
  assert.equal(lab.get("Namespace//shop")!.metadata.labels!["kubernetes.io/metadata.name"], "shop");
  assert.ok(lab.get("Service/default/x"));
});

test("a pod that states its status keeps it, and one that has ended holds no address", () => {
  const pod = (name: string, status: string) =>
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop, labels: {app: x}}\nspec: {}\nstatus: {${status}}\n`;
  const lab = new Lab().apply({
    "a.yaml": `${pod("stated", "podIP: 10.7.7.7, phase: Pending")}---\n${pod("done", "phase: Succeeded")}`,
    "s.yaml": service("x", "selector: {app: x}, ports: [{port: 80}]"),
  });
  assert.equal(ipOf(lab.get("Pod/shop/stated")!), "10.7.7.7");
  assert.equal(fieldsOf(lab.get("Pod/shop/stated")!["status"])["phase"], "Pending");
  assert.equal(ipOf(lab.get("Pod/shop/done")!), "");
  assert.equal(listOf(lab.all("EndpointSlice")[0]!["endpoints"]).length, 1);
});

test("replicas that are no count make no pods and one problem that names the field", () => {
  for (const wrong of ["-1", '"3"', "1.5", "99999999"]) {
    const lab = new Lab().apply({ "a.yaml": deployment("cart", wrong) });
    assert.equal(lab.all("Pod").length, 0);
    assert.match(lab.problems.join(), /^a\.yaml:1 Deployment shop\/cart: spec\.replicas is /);
  }
});

test("one replica more makes one pod, and leaves the objects of every other file the very same", () => {
  const file = (name: string, replicas: number) =>
    `${deployment(name, replicas)}---\n${service(name, `selector: {app: ${name}}, ports: [{port: 80}]`)}`;
  const names = Array.from({ length: 20 }, (_, at) => `d${at}`);
  const lab = new Lab().apply(Object.fromEntries(names.map((name) => [`${name}.yaml`, file(name, 20)])));
  const before = lab.settled.objects;
  lab.apply({ "d7.yaml": file("d7", 21) });
  const changed = [...lab.settled.objects].filter(([key, { object }]) => before.get(key)?.object !== object);
  assert.deepEqual(
    changed.filter(([, { object }]) => !object.metadata.name.startsWith("d7")),
    [],
  );
  assert.equal(lab.settled.objects.size, before.size + 1);
  assert.equal(lab.all("Pod").length, 401);
});
