import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { ROTATE_ROOT } from "../../../src/manager/objects/root-trust-policy.ts";
import type { TrustValues } from "../../../src/manager/objects/trust-objects.ts";
import { TrustObjectBook } from "../../../src/manager/plan/trust-object-book.ts";
import type { KubeObject } from "../../../src/kube/object.ts";
import type { TrustKind } from "../../../src/manager/policy.ts";
import { derOf, TestAuthority } from "../../kits/tls.ts";
import {
  GUIDE_001,
  GUIDE_004,
  objectsIn,
  policyOf,
  rightObjects,
  trustObject,
  wrongObjects,
} from "../../kits/trust-objects.ts";

const DOCS = join(import.meta.dirname, "..", "..", "..", "..", "docs");

/** The only object of a book that has no other. */
function read(object: KubeObject) {
  const book = new TrustObjectBook();
  book.set(object, "");
  const [known] = book.objects[object.kind as TrustKind].values();
  return known!;
}

function valueOf<Kind extends TrustKind>(kind: Kind, object: KubeObject): TrustValues[Kind] {
  assert.equal(object.kind, kind);
  const { value, error } = read(object);
  assert.equal(error, undefined);
  return value as TrustValues[Kind];
}

const guide = (name: string): KubeObject => objectsIn(GUIDE_004[name]!)[0]!;
const DAY_MS = 86_400_000;

test("whatever is right is read, the guides' examples first", async () => {
  const { root } = await TestAuthority.create();
  const errors = rightObjects(root).map(([what, object]) => [what, read(object).error]);
  assert.ok(errors.length > 20);
  assert.deepEqual(
    errors.filter(([, error]) => error !== undefined),
    [],
  );
});

test("the examples of the documentation are read", () => {
  const pages = ["root-trust-policy.md", "workspaces.md"].map((page) => readFileSync(join(DOCS, page), "utf8"));
  const blocks = pages
    .flatMap((page) => page.match(/(^    .*\n)+/gm) ?? [])
    .filter((block) => block.includes("kind: "));
  const objects = blocks
    .flatMap((block) => objectsIn(block.replace(/^ {4}/gm, "")))
    .filter(({ apiVersion }) => apiVersion);
  assert.ok(objects.length >= 6);
  for (const object of objects) assert.equal(read(object).error, undefined, object.kind);
});

test("what is wrong is refused with its field, and what would be right", () => {
  for (const { what, object, reader } of wrongObjects()) {
    const { error } = read(object);
    assert.match(error ?? "it was read", reader, what);
    assert.match(error!, /\. Until this is fixed, .+\.$/, what);
  }
});

test("guide 004's generated root is one of P-256 for ten years, and its intermediates are renewed when a tenth is left", () => {
  const policy = valueOf("RootTrustPolicy", guide("generated"));
  const source = { kind: "generated", organization: "", keyType: "ec-p256", lifetimeMs: 3650 * DAY_MS };
  assert.deepEqual(policy.source, source);
  assert.deepEqual(policy.intermediate, {
    organization: "",
    keyType: "ec-p256",
    lifetimeMs: 90 * DAY_MS,
    graceRatio: 0.1,
  });
  assert.deepEqual([policy.autoRestartPods, policy.rotateRoot, policy.notes], [true, "", []]);
  assert.equal(valueOf("RootTrustPolicy", policyOf({ mgmtServerCa: { generated: {} } })).autoRestartPods, false);
});

test("guide 004's issuer of cert-manager is asked in the policy's namespace", () => {
  const issuer = { group: "cert-manager.io", kind: "ClusterIssuer", name: "gloo-mesh-root" };
  const { source } = valueOf("RootTrustPolicy", guide("cert-manager"));
  assert.deepEqual(source, { kind: "cert-manager", issuer, namespace: "gloo-mesh" });
});

test("guide 004's Vault is logged in to with the token that Kubernetes mounts", () => {
  const tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token";
  assert.deepEqual(valueOf("RootTrustPolicy", guide("vault")).source, {
    kind: "vault",
    server: "https://vault.internal:8200",
    vaultNamespace: "",
    caPath: "pki_int/sign/gloo-mesh",
    rolePath: "pki_int/roles/gloo-mesh",
    caBundle: undefined,
    caBundleSecret: undefined,
    auth: { kind: "kubernetes", mountPath: "kubernetes", role: "gloo-mesh", tokenFile },
  });
});

test("the published form of Vault is read with its certificate, whether in PEM or in base64", async () => {
  const { root } = await TestAuthority.create();
  const vault = (caBundle: string) => ({
    server: "https://vault:8200/",
    caPath: "pki/root/sign-intermediate",
    caBundle,
    kubernetesAuth: { role: "mesh", mountPath: "/v1/auth/eu/kubernetes", mountedSaPath: "/var/run/vault" },
  });
  for (const text of [root, Buffer.from(`# Vault's\n${root}`).toString("base64")]) {
    const { source } = valueOf("RootTrustPolicy", policyOf({ agentCa: { vault: vault(text) } }));
    assert.ok(source.kind === "vault");
    assert.deepEqual(derOf(source.caBundle!), derOf(root));
    assert.equal(source.server, "https://vault:8200");
    const auth = { kind: "kubernetes", mountPath: "eu/kubernetes", role: "mesh", tokenFile: "/var/run/vault" };
    assert.deepEqual(source.auth, auth);
  }
});

test("the published form of a policy counts bits where it says bytes, and says what has no effect", () => {
  const generated = { orgName: "Bank", rsaKeySizeBytes: 4096, ttlDays: 730, secretRotationGracePeriodRatio: 0.2 };
  const options = { rsaKeySizeBytes: 2048, ttlDays: 30, secretRotationGracePeriodRatio: 0.3, orgName: "East" };
  const config = { mgmtServerCa: { generated }, intermediateCertOptions: options, autoRestartPods: true };
  const policy = valueOf("RootTrustPolicy", policyOf(config));
  const lifetimeMs = 730 * DAY_MS;
  assert.deepEqual(policy.source, { kind: "generated", organization: "Bank", keyType: "rsa-4096", lifetimeMs });
  const intermediate = { organization: "East", keyType: "rsa-2048", lifetimeMs: 30 * DAY_MS, graceRatio: 0.3 };
  assert.deepEqual([policy.intermediate, policy.autoRestartPods], [intermediate, true]);
  assert.match(
    policy.notes.join(),
    /generated.secretRotationGracePeriodRatio has no effect: .*annotation trust.causeway/,
  );
});

test("roots that are trusted beside are read, and Secrets that hold more are named", async () => {
  const roots = [(await TestAuthority.create()).root, (await TestAuthority.create()).root];
  const passive = [{ certificate: roots.join("") }, { secretRef: { name: "old" } }];
  const config = { mgmtServerCa: { secretRef: { name: "new" } }, passiveCertificateAuthorities: passive };
  const policy = valueOf("RootTrustPolicy", policyOf(config));
  assert.deepEqual(policy.source, { kind: "secret", secret: { namespace: "gloo-mesh", name: "new" } });
  assert.deepEqual(
    policy.passive.roots.map((root) => Buffer.from(root)),
    roots.map(derOf),
  );
  assert.deepEqual(policy.passive.secrets, [{ namespace: "gloo-mesh", name: "old" }]);
});

test("an annotation asks for another root, by any short text", () => {
  const annotated = (text: string): KubeObject =>
    trustObject(
      "RootTrustPolicy",
      "a",
      { config: { mgmtServerCa: { generated: {} } } },
      { annotations: { [ROTATE_ROOT]: text } },
    );
  assert.equal(valueOf("RootTrustPolicy", annotated("2026-11-21")).rotateRoot, "2026-11-21");
  assert.match(read(annotated("a".repeat(129))).error!, /rotate-root\] is 129 characters long; any short text/);
});

test("guide 001's clusters and Workspace are read, with what they leave open", () => {
  const objects = objectsIn(GUIDE_001);
  assert.deepEqual(
    objects.slice(0, 3).map((object) => valueOf("KubernetesCluster", object).cluster),
    ["trustusbank-edge", "trustusbank-bank", "trustusbank-vendor"],
  );
  assert.equal(valueOf("KubernetesCluster", trustObject("KubernetesCluster", "a")).clusterDomain, "cluster.local");
  const { name, workloadClusters } = valueOf("Workspace", objects[3]!);
  assert.equal(name, "trustusbank");
  assert.deepEqual(workloadClusters[2], {
    name: "trustusbank-vendor",
    namespaces: ["trustusbank-*", "external-attacker"],
  });
  const { exportTo, workspace } = valueOf("WorkspaceSettings", objects[4]!);
  assert.deepEqual([workspace, exportTo], ["trustusbank", [{ workspaces: ["trustusbank"], resources: undefined }]]);
  const open = trustObject("Workspace", "a", { workloadClusters: [{}, { namespaces: [] }] });
  assert.deepEqual(valueOf("Workspace", open).workloadClusters, [
    { name: "*", namespaces: ["*"] },
    { name: "*", namespaces: [] },
  ]);
});
