import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { networkNamespaces, skipWithout, ztunnelBinary } from "./machine.ts";
import { CART_ADDRESS, until, ZtunnelLab } from "./ztunnel-lab.ts";

// A suite of its own, so that skipping it skips nothing else.
suite("an unmodified ztunnel", () => {
  let lab: ZtunnelLab;
  let plane: ChildProcess;
  let web: ChildProcess;
  let cart: ChildProcess;
  let node: ChildProcess;

  before(async function () {
    const binary = ztunnelBinary(process.env);
    const namespaces = networkNamespaces();
    skipWithout(this, "ztunnel", binary, namespaces);
    lab = new ZtunnelLab(binary as string);
    plane = await lab.startControlPlane();
    lab.startApp(lab.cart);
    web = lab.startZtunnel(lab.web);
    cart = lab.startZtunnel(lab.cart);
  });

  after(async () => lab?.close());

  test("an unmodified ztunnel becomes ready and holds every workload and service", async () => {
    for (const pod of [lab.web, lab.cart]) {
      await until(`the ztunnel of ${pod.name} is ready`, () => lab.ready(pod));
      const dump = lab.configDump(pod);
      assert.deepEqual(dump.workloads.map(({ uid }) => uid).sort(), [
        "Kubernetes//Pod/shop/cart",
        "Kubernetes//Pod/shop/web",
      ]);
      assert.deepEqual(
        dump.services.map(({ hostname }) => hostname),
        ["cart.shop.svc.cluster.local"],
      );
      assert.deepEqual(dump.stagedServices, {});
    }
  });

  test("two ztunnels carry a call by its virtual address over mTLS with certificates of ours", async () => {
    await until("web reaches cart", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
    assert.match(
      lab.metrics(lab.cart),
      /istio_tcp_connections_opened_total\{[^}]*connection_security_policy="mutual_tls"/,
    );
    for (const pod of [lab.web, lab.cart]) {
      const [certificate] = lab.configDump(pod).certificates;
      assert.deepEqual(
        [certificate!.identity, certificate!.state],
        [`spiffe://cluster.local/ns/shop/sa/${pod.name}`, "Available"],
      );
    }
    const root = new X509Certificate(lab.rootCertificate());
    assert.ok(root.ca);
  });

  test("a policy that denies web cuts it off, and its removal lets it in again", async () => {
    lab.write("deny.yaml", denyWeb);
    await until("cart refuses web", () => lab.call(lab.web, CART_ADDRESS, 80) === "");
    assert.deepEqual(
      lab.configDump(lab.cart).policies.map(({ name }) => name),
      ["no-web"],
    );
    lab.remove("deny.yaml");
    await until("cart lets web in", () => lab.call(lab.web, CART_ADDRESS, 80) === "hello from cart");
  });

  test("a ztunnel comes back to a restarted control plane, and loses what went meanwhile", async () => {
    await lab.stop(plane);
    lab.write("extra.yaml", extraService);
    plane = await lab.startControlPlane();
    await until("web holds the new service", () => lab.configDump(lab.web).services.length === 2);
    await lab.stop(plane);
    lab.remove("extra.yaml");
    plane = await lab.startControlPlane();
    await until("web has lost it again", () => lab.configDump(lab.web).services.length === 1);
    assert.equal(lab.call(lab.web, CART_ADDRESS, 80), "hello from cart");
  });

  test("a ztunnel in shared mode gets the certificates of the pods on its node, and no others", async () => {
    lab.write("elsewhere.yaml", elsewhere);
    node = lab.startNodeZtunnel();
    const mine = ["cart", "web"].map((name) => `spiffe://cluster.local/ns/shop/sa/${name}`);
    await until("both certificates are there", () => {
      const { certificates } = lab.configDump(lab.node);
      return mine.every((identity) =>
        certificates.some((one) => one.identity === identity && one.state === "Available"),
      );
    });
    const dump = lab.configDump(lab.node);
    assert.ok(dump.workloads.some(({ uid }) => uid === "Kubernetes//Pod/shop/far"));
    assert.deepEqual(dump.certificates.map(({ identity }) => identity).sort(), mine);
    const roots = dump.certificates.flatMap(({ rootCerts }) => rootCerts ?? []);
    assert.equal(roots.length, 2);
  });

  test("no ztunnel has rejected anything", () => {
    for (const program of [web, cart, node]) {
      assert.match(lab.printed(program), /Stream established/);
      assert.doesNotMatch(lab.printed(program), /Nack|certificate fetch failed/);
    }
  });
});

const denyWeb = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-web, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  action: DENY
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]
`;

const extraService = `apiVersion: v1
kind: Service
metadata: {name: extra, namespace: shop}
spec: {clusterIP: 10.96.1.2, ports: [{port: 80}]}
`;

const elsewhere = `apiVersion: v1
kind: Pod
metadata: {name: far, namespace: shop, labels: {app: far}}
spec: {nodeName: node-2, serviceAccountName: far, containers: [{name: app, image: app}]}
status: {phase: Running, podIPs: [{ip: 10.77.0.99}], podIP: 10.77.0.99}
`;
