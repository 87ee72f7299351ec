import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../../src/kube/object.ts";
import type { TrustKind } from "../../src/manager/policy.ts";

/** What guides 001 and 004 have people apply, field for field. */
export const GUIDE_004: Readonly<Record<string, string>> = {
  generated: `
apiVersion: admin.gloo.solo.io/v2
kind: RootTrustPolicy
metadata:
  name: shared-trust
  namespace: gloo-mesh
spec:
  config:
    mgmtServerCa:
      generated: {}
    intermediateCertOptions:
      secretRotationGracePeriodRatio: 0.10
      autoRestartPods: true
`,
  "cert-manager": `
apiVersion: admin.gloo.solo.io/v2
kind: RootTrustPolicy
metadata:
  name: shared-trust
  namespace: gloo-mesh
spec:
  config:
    intermediateCertOptions:
      secretRotationGracePeriodRatio: 0.10
      autoRestartPods: true
    agentCa:
      certManager:
        issuerRef:
          group: cert-manager.io
          kind: ClusterIssuer
          name: gloo-mesh-root
`,
  vault: `
apiVersion: admin.gloo.solo.io/v2
kind: RootTrustPolicy
metadata:
  name: shared-trust
  namespace: gloo-mesh
spec:
  config:
    intermediateCertOptions:
      secretRotationGracePeriodRatio: 0.10
      autoRestartPods: true
    agentCa:
      vault:
        caPath: pki_int/sign/gloo-mesh
        rolePath: pki_int/roles/gloo-mesh
        server: https://vault.internal:8200
        authMethod:
          kubernetes:
            mountPath: kubernetes
            role: gloo-mesh
`,
  CASource: `
apiVersion: admin.gloo.solo.io/v2
kind: CASource
metadata:
  name: byo-root
  namespace: gloo-mesh
spec:
  secret:
    name: shared-ca-bundle
    namespace: gloo-mesh
`,
  IdentityProvider: `
apiVersion: admin.gloo.solo.io/v2
kind: IdentityProvider
metadata:
  name: spiffe-default
  namespace: gloo-mesh
spec:
  spiffe:
    trustDomain: cluster.local
    clusterName: cluster-east
`,
};

/** Of guide 001. */
export const GUIDE_001 = `
apiVersion: admin.gloo.solo.io/v2
kind: KubernetesCluster
metadata: { name: trustusbank-edge, namespace: gloo-mesh }
spec: { clusterDomain: cluster.local }
---
apiVersion: admin.gloo.solo.io/v2
kind: KubernetesCluster
metadata: { name: trustusbank-bank, namespace: gloo-mesh }
spec: { clusterDomain: cluster.local }
---
apiVersion: admin.gloo.solo.io/v2
kind: KubernetesCluster
metadata: { name: trustusbank-vendor, namespace: gloo-mesh }
spec: { clusterDomain: cluster.local }
---
apiVersion: admin.gloo.solo.io/v2
kind: Workspace
metadata: { name: trustusbank, namespace: gloo-mesh }
spec:
  workloadClusters:
    - name: trustusbank-edge
      namespaces: [{ name: 'trustusbank-*' }]
    - name: trustusbank-bank
      namespaces: [{ name: 'trustusbank-*' }]
    - name: trustusbank-vendor
      namespaces: [{ name: 'trustusbank-*' }, { name: external-attacker }]
---
apiVersion: admin.gloo.solo.io/v2
kind: WorkspaceSettings
metadata: { name: trustusbank, namespace: gloo-mesh }
spec:
  exportTo: [{ workspaces: [{ name: trustusbank }] }]
  importFrom: [{ workspaces: [{ name: trustusbank }] }]
`;

export const objectsIn = (yaml: string): readonly KubeObject[] =>
  parseAllDocuments(yaml).map((document) => document.toJS() as KubeObject);

export const trustObject = (kind: TrustKind, name: string, spec?: unknown, metadata: object = {}): KubeObject => ({
  apiVersion: "admin.gloo.solo.io/v2",
  kind,
  metadata: { name, namespace: "gloo-mesh", ...metadata },
  ...(spec !== undefined && { spec }),
});

export const policyOf = (config: unknown, more: object = {}): KubeObject =>
  trustObject("RootTrustPolicy", "shared-trust", { config, ...more });

const GENERATED = { mgmtServerCa: { generated: {} } };
const VAULT = {
  server: "https://vault.internal:8200",
  caPath: "pki_int/root/sign-intermediate",
};
const AUTH = { kubernetesAuth: { role: "mesh" } };
const vault = (more: object, auth: object = AUTH): KubeObject =>
  policyOf({ agentCa: { vault: { ...VAULT, ...auth, ...more } } });
const options = (more: object): KubeObject => policyOf({ ...GENERATED, intermediateCertOptions: more });
const workspace = (...workloadClusters: readonly unknown[]): KubeObject =>
  trustObject("Workspace", "shop", { workloadClusters });
const settings = (spec: object): KubeObject => trustObject("WorkspaceSettings", "shop", spec);
const PASSIVE = "passiveCertificateAuthorities";

/** Objects that are right, with a name for each; `pem` is a root's. */
export function rightObjects(pem: string): readonly (readonly [what: string, object: KubeObject])[] {
  const base64 = Buffer.from(pem).toString("base64");
  return [
    ...Object.entries(GUIDE_004).flatMap(([name, yaml]) => objectsIn(yaml).map((object) => [name, object] as const)),
    ...objectsIn(GUIDE_001).map((object) => [`${object.kind} of guide 001`, object] as const),
    [
      "the published form of a generated root",
      policyOf(
        {
          mgmtServerCa: {
            generated: { orgName: "Bank", rsaKeySizeBytes: 4096, ttlDays: 730, secretRotationGracePeriodRatio: 0.2 },
          },
          intermediateCertOptions: {
            orgName: "Bänk, Inc.",
            rsaKeySizeBytes: 2048,
            ttlDays: 30,
            secretRotationGracePeriodRatio: 0.3,
          },
          autoRestartPods: false,
        },
        { applyToMeshes: [{ istio: {} }] },
      ),
    ],
    ["a root in a Secret", policyOf({ mgmtServerCa: { secretRef: { name: "root" } } })],
    [
      "the published form of Vault",
      vault({
        namespace: "admin/mesh",
        caBundle: base64,
        kubernetesAuth: {
          role: "mesh",
          mountPath: "/v1/auth/kubernetes",
          mountedSaPath: "/var/run/secrets/tokens/vault",
        },
      }),
    ],
    [
      "Vault with a token and a Secret",
      vault({ caSecretRef: { name: "vault-ca", namespace: "vault" } }, { tokenSecretRef: { name: "vault-token" } }),
    ],
    ["Vault with its certificate in PEM", vault({ caBundle: pem })],
    [
      "Vault with one of several issuers",
      vault({ caPath: "team/pki/issuer/mesh-2026/sign-intermediate", server: "https://[fd00::1]" }),
    ],
    ["a Vault of a lab", vault({ server: "http://127.0.0.1:8200" })],
    ["a CASource", policyOf({ caSourceRef: { name: "byo-root" } })],
    [
      "roots that are trusted beside",
      policyOf({
        ...GENERATED,
        [PASSIVE]: [{ certificate: pem }, { secretRef: { name: "old-root", namespace: "pki" } }],
      }),
    ],
    [
      "a CASource of cert-manager",
      trustObject("CASource", "cm", { certManager: { issuerRef: { name: "mesh-root" } } }),
    ],
    ["a CASource of Vault", trustObject("CASource", "vault", { vault: { ...VAULT, ...AUTH } })],
    ["all meshes", policyOf(GENERATED, { applyToMeshes: [{ istio: { clusterSelector: {}, revision: "" } }, {}] })],
    ["a trust domain for all", trustObject("IdentityProvider", "all", { spiffe: { trustDomain: "bank_1.example" } })],
    ["a cluster with nothing to say", trustObject("KubernetesCluster", "east.eu-1")],
    ["a Workspace with all", workspace({ name: "*" }, {}, { name: "east", namespaces: [] })],
    [
      "settings with services",
      settings({
        exportTo: [
          {
            workspaces: [{ name: "*" }],
            resources: [{ kind: "SERVICE", name: "cart-*", namespace: "shop", cluster: "east" }, {}],
          },
        ],
      }),
    ],
    ["settings without", settings({})],
  ];
}

/** An object that is wrong, what its schema says, and what its reader does. */
export interface WrongObject {
  readonly what: string;
  readonly object: KubeObject;
  readonly schema: RegExp;
  readonly reader: RegExp;
}

const wrong = (what: string, object: KubeObject, schema: RegExp, reader: RegExp = schema): WrongObject => ({
  what,
  object,
  schema,
  reader,
});

const UNKNOWN = (field: string): RegExp => new RegExp(`unknown field "?[\\w.\\[\\]]*${field}"`);

export function wrongObjects(): readonly WrongObject[] {
  return [...wrongPolicies(), ...wrongVaults(), ...wrongOthers()];
}

function wrongPolicies(): readonly WrongObject[] {
  const one = /exactly one of mgmtServerCa, agentCa and caSourceRef/;
  const bits = /counts bits in spite of its name: give 2048, 3072 or 4096/;
  const ratio = /give a number between 0 and 1/;
  return [
    wrong("no source", policyOf({}), one, /^spec.config needs one of mgmtServerCa and agentCa and caSourceRef/),
    wrong(
      "two sources",
      policyOf({ ...GENERATED, caSourceRef: { name: "a" } }),
      one,
      /^spec.config has mgmtServerCa and caSourceRef; keep one of/,
    ),
    wrong(
      "a root of nowhere",
      policyOf({ mgmtServerCa: {} }),
      /exactly one of generated and secretRef/,
      /^spec.config.mgmtServerCa needs one of generated and secretRef/,
    ),
    wrong(
      "an agent's CA of two",
      policyOf({ agentCa: { certManager: { issuerRef: { name: "a" } }, vault: { ...VAULT, ...AUTH } } }),
      /exactly one of certManager and vault/,
      /has certManager and vault/,
    ),
    wrong("a ratio of 1", options({ secretRotationGracePeriodRatio: 1 }), ratio, /Ratio is 1; give a number between 0/),
    wrong("a ratio of 0", options({ secretRotationGracePeriodRatio: 0 }), ratio),
    wrong("a ratio in text", options({ secretRotationGracePeriodRatio: "10%" }), /must be of type number/, ratio),
    wrong("an RSA key in bytes", options({ rsaKeySizeBytes: 512 }), bits),
    wrong(
      "no days",
      options({ ttlDays: 0 }),
      /greater than or equal to 1/,
      /ttlDays must be a whole number from 1 to 3650/,
    ),
    wrong("half a day", options({ ttlDays: 0.5 }), /type integer/, /must be a whole number/),
    wrong("an organization of two lines", options({ orgName: "a\nb" }), /orgName/, /all on one line/),
    wrong("an organization without a letter", options({ orgName: " " }), /orgName/, /give 1 to 64 characters/),
    wrong(
      "a root that ends first",
      policyOf({ mgmtServerCa: { generated: { ttlDays: 30 } } }),
      /let the root live longer/,
      /generated.ttlDays is 30, and intermediates live 90 days; let the root live longer/,
    ),
    wrong(
      "a restart here and none there",
      policyOf({ ...GENERATED, autoRestartPods: false, intermediateCertOptions: { autoRestartPods: true } }),
      /keep one of them/,
      /^spec.config.autoRestartPods is false, and intermediateCertOptions.autoRestartPods is true; keep one/,
    ),
    wrong("a field that is misspelt", policyOf({ ...GENERATED, autoRestartPod: true }), UNKNOWN("autoRestartPod")),
    wrong("an option that is misspelt", options({ ttlDay: 3 }), UNKNOWN("ttlDay")),
    wrong(
      "an issuer without a name",
      policyOf({ agentCa: { certManager: { issuerRef: {} } } }),
      /name: Required/,
      /issuerRef.name is missing; give/,
    ),
    wrong(
      "a policy for some clusters",
      policyOf(GENERATED, { applyToMeshes: [{ istio: { clusterSelector: { labels: { env: "prod" } } } }] }),
      /clusterSelector: .*must have at most 0/,
      /applyToMeshes\[0\].istio.clusterSelector is not supported: a policy is for all clusters/,
    ),
    wrong(
      "a policy for a revision",
      policyOf(GENERATED, { applyToMeshes: [{ istio: { revision: "1-31" } }] }),
      /revision is not supported: a policy is for all clusters/,
    ),
    wrong(
      "a passive root that is generated",
      policyOf({ ...GENERATED, [PASSIVE]: [{ generated: {} }] }),
      /generated is not supported: what is generated here signs/,
    ),
    wrong(
      "a passive root of nowhere",
      policyOf({ ...GENERATED, [PASSIVE]: [{}] }),
      /exactly one of certificate and secretRef/,
      /\[0\] needs one of certificate and secretRef/,
    ),
    wrong(
      "a passive root with its key",
      policyOf({
        ...GENERATED,
        [PASSIVE]: [{ certificate: "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----" }],
      }),
      /holds a private key/,
      /certificate/,
    ),
    wrong(
      "a passive root that is none",
      policyOf({ ...GENERATED, [PASSIVE]: [{ certificate: "root.pem" }] }),
      /holds no certificate/,
    ),
  ];
}

function wrongVaults(): readonly WrongObject[] {
  const auth = /exactly one of authMethod, kubernetesAuth and tokenSecretRef/;
  const account = /not supported: the manager logs in with the token of its own service account/;
  return [
    wrong("a Vault without a login", vault({}, {}), auth, /vault needs one of authMethod and kubernetesAuth and/),
    wrong(
      "a Vault of two logins",
      vault({ tokenSecretRef: { name: "a" } }),
      auth,
      /has kubernetesAuth and tokenSecretRef/,
    ),
    wrong("a Vault without TLS", vault({ server: "http://vault:8200" }), /give https:\/\/host:port/),
    wrong("a Vault with a path", vault({ server: "https://vault/v1" }), /and nothing behind it/),
    wrong(
      "a path that leads out",
      vault({ caPath: "pki/../root/sign-intermediate" }),
      /give <mount>\/root\/sign-intermediate/,
    ),
    wrong(
      "a path that signs nothing",
      vault({ caPath: "pki_int/issue/mesh" }),
      /give <mount>\/root\/sign-intermediate/,
    ),
    wrong("a role that is none", vault({ rolePath: "pki_int/gloo-mesh" }), /give <mount>\/roles\/<role>/),
    wrong(
      "no path",
      policyOf({ agentCa: { vault: { server: VAULT.server, ...AUTH } } }),
      /caPath: Required/,
      /caPath is missing/,
    ),
    wrong(
      "a key that travels",
      vault({ csrPath: "pki/intermediate/generate/exported" }),
      /csrPath is not supported: Vault would make the key/,
    ),
    wrong(
      "a file of another machine",
      vault({ caLocalPath: "/ca.pem" }),
      /caLocalPath is not supported: give the certificate in caBundle/,
    ),
    wrong(
      "two bundles",
      vault({ caBundle: "a", caSecretRef: { name: "a" } }),
      /has caBundle and caSecretRef; keep one/,
    ),
    wrong(
      "a bundle with a key",
      vault({ caBundle: "-----BEGIN PRIVATE KEY-----" }),
      /holds a private key/,
      /caBundle holds no certificate/,
    ),
    wrong(
      "somebody else's account",
      vault({}, { kubernetesAuth: { role: "a", serviceAccountRef: { name: "b" } } }),
      account,
    ),
    wrong("a key of a Secret", vault({}, { kubernetesAuth: { role: "a", secretTokenKey: "b" } }), account),
    wrong(
      "a login without a role",
      vault({}, { authMethod: { kubernetes: {} } }),
      /role: Required/,
      /kubernetes.role is missing/,
    ),
    wrong(
      "a login of no kind",
      vault({}, { authMethod: {} }),
      /kubernetes: Required/,
      /authMethod.kubernetes is missing/,
    ),
    wrong(
      "a token that is anywhere",
      vault({}, { kubernetesAuth: { role: "a", mountedSaPath: "/a/../b" } }),
      /mountedSaPath/,
      /give an absolute path/,
    ),
  ];
}

function wrongOthers(): readonly WrongObject[] {
  const source = (spec: unknown): KubeObject => trustObject("CASource", "byo", spec);
  const identity = (spiffe: unknown): KubeObject => trustObject("IdentityProvider", "all", { spiffe });
  const one = /exactly one of secret, certManager and vault/;
  return [
    wrong("a CASource of nothing", source({}), one, /^spec needs one of secret and certManager and vault/),
    wrong(
      "a CASource of two",
      source({ secret: { name: "a" }, certManager: { issuerRef: { name: "a" } } }),
      one,
      /has secret and certManager/,
    ),
    wrong("a CASource that generates", source({ generated: {} }), /write mgmtServerCa.generated there/),
    wrong(
      "a Secret without a name",
      source({ secret: { namespace: "a" } }),
      /name: Required/,
      /^spec.secret.name is missing/,
    ),
    wrong(
      "a Secret in no namespace",
      source({ secret: { name: "a", namespace: "A/b" } }),
      /namespace/,
      /give a namespace/,
    ),
    wrong(
      "an identity without spiffe",
      trustObject("IdentityProvider", "all", {}),
      /spiffe: Required/,
      /^spec.spiffe is missing/,
    ),
    wrong("no trust domain", identity({}), /trustDomain: Required/, /^spec.spiffe.trustDomain is missing/),
    wrong(
      "a trust domain that is a URI",
      identity({ trustDomain: "spiffe://bank" }),
      /trustDomain/,
      /is "spiffe:\/\/bank"; use 1 to 255/,
    ),
    wrong(
      "a cluster that cannot be",
      identity({ trustDomain: "a", clusterName: "a/b" }),
      /clusterName/,
      /give the name of a KubernetesCluster/,
    ),
    wrong("a template", identity({ trustDomain: "a", clusterNames: ["a"] }), UNKNOWN("clusterNames")),
    wrong(
      "a cluster's domain with a space",
      trustObject("KubernetesCluster", "east", { clusterDomain: "a b" }),
      /clusterDomain/,
      /give the DNS domain/,
    ),
    wrong(
      "a cluster with a long name",
      trustObject("KubernetesCluster", "a".repeat(129)),
      /128 characters at most/,
      /a cluster's name has 128 at most/,
    ),
    wrong(
      "clusters by labels",
      workspace({ selector: { a: "b" } }),
      /selector is not supported: give the clusters by name/,
    ),
    wrong(
      "namespaces by labels",
      workspace({ name: "a", namespaces: [{ name: "b", labels: { a: "b" } }] }),
      /labels is not supported: labels of other clusters/,
    ),
    wrong(
      "a Workspace that is no list",
      trustObject("Workspace", "a", { workloadClusters: "east" }),
      /must be of type array/,
      /must be a list/,
    ),
    wrong("a misspelt list of namespaces", workspace({ name: "a", namespace: [{ name: "b" }] }), UNKNOWN("namespace")),
    wrong(
      "a namespace that cannot be",
      workspace({ namespaces: [{ name: "a/b" }] }),
      /namespaces\[0\].name/,
      /give a namespace, or a pattern/,
    ),
    wrong(
      "federation",
      settings({ options: { federation: { enabled: true } } }),
      /options is not supported: services are shared by peering/,
    ),
    wrong(
      "nobody to share with",
      settings({ exportTo: [{ workspaces: [] }] }),
      /should have at least 1 items/,
      /names no Workspace; give one/,
    ),
    wrong(
      "Workspaces by labels",
      settings({ importFrom: [{ workspaces: [{ name: "a", selector: {} }] }] }),
      /selector is not supported/,
    ),
    wrong(
      "something other than services",
      settings({ exportTo: [{ workspaces: [{ name: "a" }], resources: [{ kind: "ROUTE_TABLE" }] }] }),
      /supported values: "SERVICE"/,
      /nothing but SERVICE is shared here/,
    ),
    wrong(
      "services by labels",
      settings({ exportTo: [{ workspaces: [{ name: "a" }], resources: [{ labels: {} }] }] }),
      /labels is not supported/,
    ),
  ];
}
