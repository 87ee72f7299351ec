import assert from "node:assert/strict";
import { createPublicKey, X509Certificate } from "node:crypto";
import { suiteTeardown as after, suiteSetup as before, suite, test } from "mocha";
import { newAuthorityRequest } from "../../src/ca/authority-request.ts";
import { authorityOf } from "../../src/ca/cacerts.ts";
import { pathLength, readCertificate, uriNames } from "../../src/ca/certificate-fields.ts";
import { cacertsInSecret } from "../../src/ca/secret-data.ts";
import { MeshError } from "../../src/errors.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import {
  CERTIFICATE_REQUESTS,
  CLUSTER_ISSUERS,
  NAMESPACES,
  SECRETS,
  SERVICE_ACCOUNTS,
} from "../../src/kube/resource-types.ts";
import { CertManagerIssuer } from "../../src/manager/cert-manager/cert-manager-issuer.ts";
import type { IntermediateOrder } from "../../src/manager/issuer.ts";
import { CheckedIssuer } from "../../src/manager/issuers/checked.ts";
import { clusterId } from "../../src/names.ts";
import { realHost } from "../kits/real-host.ts";
import { derOf, SIGNS_LISTS, TestAuthority } from "../kits/tls.ts";
import { eventually } from "./causeway-process.ts";
import { CERT_MANAGER_CRDS, certManagerSite, type CertManagerSite, ISSUER } from "./cert-manager-site.ts";
import { TRUST_CERT_MANAGER_RBAC, type KubeCluster, KubeLab } from "./kube-lab.ts";

const NAMESPACE = "gloo-mesh";
const ACCOUNT = "causeway-trust";
const DAY_MS = 86_400_000;
const SPEC = {
  kind: "cert-manager",
  issuer: { group: "cert-manager.io", kind: "ClusterIssuer", name: ISSUER },
  namespace: NAMESPACE,
} as const;

suite("Intermediates from cert-manager", function () {
  this.timeout(120_000);
  let lab: KubeLab;
  let cluster: KubeCluster;
  let site: CertManagerSite;
  let root: TestAuthority;
  let api: HttpKubeApi;
  const host = realHost();
  const open: CertManagerIssuer[] = [];

  before(async function () {
    lab = await KubeLab.open(this);
    cluster = await lab.cluster("mgmt", { crds: CERT_MANAGER_CRDS });
    await cluster.client.put(NAMESPACES, { metadata: { name: NAMESPACE } });
    await cluster.client.put(SERVICE_ACCOUNTS, { metadata: { name: ACCOUNT, namespace: NAMESPACE } });
    await cluster.client.kubectl("apply", "-f", TRUST_CERT_MANAGER_RBAC);
    api = new HttpKubeApi(host, {
      server: cluster.api.server,
      ca: { text: cluster.api.admin.ca },
      insecureSkipTlsVerify: false,
      tlsServerName: undefined,
      user: { login: { kind: "token", token: { text: await tokenOf(cluster) } } },
      refusedAddresses: [],
    });
    site = await certManagerSite(cluster, lab.folder);
    console.log(
      `    cert-manager: ${site.real ? "its own controller" : "a stand-in of ours; CERT_MANAGER=… runs its own"}`,
    );
    root = await authority("CN=mesh root");
    await site.use(root);
  });
  after(async () => {
    await Promise.all(open.map((issuer) => issuer.close()));
    await api?.close();
    await site?.close();
    await lab?.close();
  });

  const issuerOf = (name: string = ISSUER): CertManagerIssuer => {
    const issuer = new CertManagerIssuer(host, api, { ...SPEC, issuer: { ...SPEC.issuer, name } });
    open.push(issuer);
    return issuer;
  };
  const signal = (): AbortSignal => AbortSignal.timeout(30_000);
  const requests = () => cluster.client.list(CERTIFICATE_REQUESTS, NAMESPACE);

  test("each cluster gets what it asked for, by just the rights of deploy/rbac/trust-cert-manager.yaml", async () => {
    const issuer = new CheckedIssuer(host, issuerOf(), "");
    assert.deepEqual(await issuer.roots(signal()), [derOf(root.root)]);
    for (const name of ["east", "west", "east"]) {
      const asked = await order(name);
      const { chain, root: under } = await issuer.sign(asked, signal());
      const [made] = chain.map((der) => new X509Certificate(der));
      assert.deepEqual([under, chain.length], [derOf(root.root), 1]);
      assert.ok(made!.checkIssued(new X509Certificate(root.root)) && made!.verify(createPublicKey(root.key)));
      assert.deepEqual(made!.publicKey.export({ type: "spki", format: "der" }), asked.publicKey);
      const fields = readCertificate(chain[0]!);
      // It passes over the path length.
      assert.deepEqual(
        [pathLength(fields), uriNames(fields)],
        [{ ca: true, max: undefined }, ["spiffe://mesh.example"]],
      );
      assert.equal(made!.subject, `O=mesh\nCN=${name}`);
      assert.equal(fields.notAfter - fields.notBefore, asked.lifetimeMs);
      // Times of creation are whole seconds.
      await new Promise((resolve) => setTimeout(resolve, 1_100));
    }
    const kept = (await requests()).map(({ metadata }) => metadata.name.replace(/-[0-9a-f]+$/, ""));
    assert.deepEqual(kept.sort(), ["causeway-east", "causeway-root-probe", "causeway-west"]);
    const { rules, denied } = await cluster.rbacUsage();
    const own = rules.filter(({ binding }) => binding.includes("causeway-trust-cert-manager"));
    // Servers that stream no lists are asked for plain ones; Issuers where the policy names one.
    const unused = own.filter(
      ({ allowed, verb, resource }) => allowed === 0 && verb !== "list" && resource !== "issuers",
    );
    assert.ok(own.length >= 8);
    assert.deepEqual([unused, denied.filter(({ user }) => user.endsWith(ACCOUNT))], [[], []]);
  });

  test("approval is waited for by a person's time, and a denial is told in the approver's words", async () => {
    await site.approve(false);
    const issuer = issuerOf();
    const [approved, denied] = [await order("north"), await order("south")];
    for (const asked of [approved, denied])
      assert.match(
        await refusal(issuer.sign(asked, AbortSignal.timeout(3_000))),
        /^unavailable: CertificateRequest gloo-mesh\/causeway-(north|south)-\w+ waits for approval/,
      );
    await judge("north", "Approved", "by Ann");
    await judge("south", "Denied", "no authority for the south");
    await issuer.sign(approved, signal());
    assert.match(
      await refusal(issuer.sign(denied, signal())),
      /^denied: .* was denied: no authority for the south; have the approver's policy allow it/,
    );
    await site.approve(true);
  });

  test("an authority between comes with the chain, and where its root is not given the field is named", async () => {
    const middle = await authority("CN=middle", root);
    await site.use(middle, [root.root]);
    const { chain, root: under } = await issuerOf().sign(await order("between"), signal());
    assert.deepEqual([chain.slice(1), under], [[derOf(middle.root)], derOf(root.root)]);
    await site.use(middle);
    assert.match(
      await refusal(issuerOf().sign(await order("rootless"), signal())),
      /^invalid: .* leads to no root: "CN=.*" is the last, which "CN=mesh root" issued\. .*into ca\.crt of the Secret/,
    );
    await site.use(root);
  });

  test("a new root is found by a new probe, and who asks again is given a certificate under it", async () => {
    const asked = await order("again");
    await issuerOf().sign(asked, signal());
    const next = await authority("CN=next root");
    await site.use(next);
    const [probe] = (await requests()).filter(({ metadata }) => metadata.name.startsWith("causeway-root-probe"));
    await cluster.client.delete(CERTIFICATE_REQUESTS, probe!.metadata.name, NAMESPACE);
    const issuer = issuerOf();
    assert.deepEqual(await issuer.roots(signal()), [derOf(next.root)]);
    assert.deepEqual((await issuer.sign(asked, signal())).root, derOf(next.root));
    await site.use(root);
  });

  test("an issuer that is missing or cannot sign is named", async () => {
    assert.match(await refusal(issuerOf("nobody").roots(signal())), /^absent: ClusterIssuer nobody does not exist/);
    await cluster.client.put(CLUSTER_ISSUERS, { metadata: { name: "broken" }, spec: { ca: { secretName: "none" } } });
    assert.match(
      await refusal(issuerOf("broken").roots(signal())),
      /^unavailable: ClusterIssuer broken is not Ready: /,
    );
    await cluster.client.put(CLUSTER_ISSUERS, { metadata: { name: "own" }, spec: { selfSigned: {} } });
    assert.match(
      await refusal(issuerOf("own").roots(signal())),
      /^invalid: ClusterIssuer own is of the kind selfSigned/,
    );
  });

  test("the Certificate of docs/trust-cert-manager.md makes a Secret cacerts that is taken as it is", async function () {
    // The stand-in makes no Certificates.
    if (!site.real) return this.skip();
    await cluster.apply(CERTIFICATE);
    let data: unknown;
    await eventually("cert-manager writes cacerts", 60_000, async () => {
      ({ data } = await cluster.client.get(SECRETS, "cacerts", "istio-system"));
      return true;
    });
    const made = authorityOf(cacertsInSecret("Secret istio-system/cacerts", data), "example.org", Date.now());
    assert.deepEqual(made.roots, [derOf(root.root)]);
    assert.equal(made.chain.length, 1);
  });

  /** As `cmctl approve` and `cmctl deny`. */
  async function judge(name: string, type: "Approved" | "Denied", message: string): Promise<void> {
    const request = (await requests()).find(({ metadata }) => metadata.name.startsWith(`causeway-${name}-`))!;
    const condition = { type, status: "True", reason: "Ann", message };
    await cluster.client.merge(CERTIFICATE_REQUESTS, request, { status: { conditions: [condition] } }, "/status");
  }
});

const CERTIFICATE = {
  apiVersion: "cert-manager.io/v1",
  kind: "Certificate",
  metadata: { name: "cacerts", namespace: "istio-system" },
  spec: {
    secretName: "cacerts",
    isCA: true,
    commonName: "Intermediate CA east",
    subject: { organizations: ["example.org"] },
    uris: ["spiffe://example.org"],
    privateKey: { algorithm: "ECDSA", size: 256, rotationPolicy: "Always" },
    usages: ["cert sign", "crl sign"],
    duration: "2160h",
    renewBefore: "216h",
    issuerRef: { group: "cert-manager.io", kind: "ClusterIssuer", name: ISSUER },
  },
};

async function tokenOf({ client }: KubeCluster): Promise<string> {
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${ACCOUNT}/token`;
  const { status } = await client.call<{ status: { token: string } }>("POST", path, { spec: {} });
  return status.token;
}

const authority = (name: string, above?: TestAuthority): Promise<TestAuthority> =>
  TestAuthority.create({ name, usages: SIGNS_LISTS, notAfterMs: Date.now() + 3650 * DAY_MS }, above);

async function order(cluster: string): Promise<IntermediateOrder> {
  const shape = { organization: "mesh", commonName: cluster, trustDomain: "mesh.example", pathLength: 0 } as const;
  const { csr, privateKey } = await newAuthorityRequest({ ...shape, keyType: "ec-p256" });
  const publicKey = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { ...shape, cluster: clusterId(cluster), lifetimeMs: 90 * DAY_MS, keyType: "ec-p256", csr, publicKey };
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "it was no refusal";
  } catch (thrown) {
    if (thrown instanceof MeshError) return `${thrown.code}: ${thrown.message}`;
    throw thrown;
  }
}
