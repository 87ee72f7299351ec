import assert from "node:assert/strict";
import { test } from "mocha";
import { parse } from "yaml";
import { remoteSecretCommand } from "../../src/commands/create-remote-secret.ts";
import type { ApiRequest } from "../../src/kube/api.ts";
import type { ClusterConnection } from "../../src/kube/connection.ts";
import { readKubeconfig } from "../../src/kube/kubeconfig.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CONFIG_MAPS,
  NAMESPACES,
  SECRETS,
  SERVICE_ACCOUNTS,
} from "../../src/kube/resource-types.ts";
import { REMOTE_KINDS } from "../../src/registry/kube/watched-kinds.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";
import { type Ran, run } from "./served-mesh.ts";

const SYSTEM = "istio-system";
const READER = "istio-reader-service-account";
const KEPT = `${READER}-istio-remote-secret-token`;
const { root: ROOTS } = await TestAuthority.create();
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** A cluster with the controllers that matter here: one fills token Secrets, one signs tokens, one says who may what. */
class Lab {
  readonly host = new TestHost();
  readonly server = new FakeApiServer(this.host.clock, { server: "https://10.0.0.1:6443" });
  /** Undefined if nobody fills Secrets. */
  fillsAfterMs: number | undefined = 500;
  denied: readonly string[] = [];
  /** The longest life of a token that is requested. */
  ttlSecondsMax = Infinity;
  readonly connection: Partial<ClusterConnection>;

  constructor(connection: Partial<ClusterConnection> = {}) {
    this.connection = connection;
    this.server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "kube-system" } });
    this.server.answer = (request) => this.#answer(request);
  }

  async create(...words: readonly string[]): Promise<Ran> {
    const api = this.server.connect("admin");
    const connection = { server: this.server.url, tlsServerName: undefined, ca: undefined, ...this.connection };
    const command = remoteSecretCommand(() => Promise.resolve({ host: this.host, api, connection }));
    let done = false;
    const running = run(command, ...words).finally(() => (done = true));
    while (!done) await this.host.clock.pass(50);
    return running;
  }

  account(name = READER): void {
    this.server.put({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace: SYSTEM } });
  }

  /** As the controller leaves it. */
  tokenSecret(name: string, account: string, token: string, metadata: object = {}): void {
    const annotations = { "kubernetes.io/service-account.name": account };
    this.server.put({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { namespace: SYSTEM, annotations, ...metadata, name },
      type: "kubernetes.io/service-account-token",
      data: { token: base64(token), "ca.crt": base64(ROOTS) },
    });
  }

  #answer({ method, path, body }: ApiRequest): unknown {
    if (path.endsWith("/subjectaccessreviews")) {
      const { resourceAttributes: asked } = (
        body as { spec: { resourceAttributes: { verb: string; resource: string } } }
      ).spec;
      return { status: { allowed: !this.denied.includes(`${asked.verb} ${asked.resource}`) } };
    }
    if (method !== "POST") return undefined;
    if (path.endsWith("/token")) return this.#mint((body as { spec: { expirationSeconds: number } }).spec);
    if (path.endsWith("/secrets") && this.fillsAfterMs !== undefined)
      this.host.clock.after(this.fillsAfterMs, () => this.#fill((body as KubeObject).metadata));
    return undefined;
  }

  #mint({ expirationSeconds }: { readonly expirationSeconds: number }): unknown {
    const lasts = Math.min(expirationSeconds, this.ttlSecondsMax) * 1000;
    const expirationTimestamp = new Date(this.host.clock.now() + lasts).toISOString();
    return { kind: "TokenRequest", status: { token: "minted", expirationTimestamp } };
  }

  #fill({ namespace, name }: KubeObject["metadata"]): void {
    const data = { token: base64(`kept-in-${name}`), "ca.crt": base64(ROOTS) };
    this.server.put({ ...this.server.get(SECRETS, namespace, name)!, data });
  }
}

interface PrintedSecret {
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly stringData: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}
interface PrintedKubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: Readonly<Record<string, unknown>> }[];
  readonly users: readonly { readonly name: string; readonly user: unknown }[];
  readonly [field: string]: unknown;
}

const secretIn = ({ out }: Ran): PrintedSecret => parse(out.replace(/---\n$/, "")) as PrintedSecret;
function kubeconfigIn(ran: Ran): PrintedKubeconfig {
  const [text] = Object.values(secretIn(ran).stringData);
  return parse(text!) as PrintedKubeconfig;
}

test("the Secret lets our own reader reach the cluster by a service account that may read it", async () => {
  const lab = new Lab();
  const ran = await lab.create("--name", "west");
  assert.equal(ran.code, 0, ran.err);
  assert.ok(ran.out.startsWith("# ") && ran.out.endsWith("---\n"));
  const { stringData, ...secret } = secretIn(ran);
  assert.deepEqual(secret, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: "istio-remote-secret-west",
      namespace: SYSTEM,
      annotations: { "networking.istio.io/cluster": "west" },
      labels: { "istio/multiCluster": "true" },
    },
  });
  assert.deepEqual(Object.keys(stringData), ["west"]);
  const connection = readKubeconfig(stringData["west"]!, { trusted: false, allowed: new Set() });
  assert.deepEqual(
    [connection.server, connection.ca, connection.user, connection.tlsServerName],
    [
      "https://10.0.0.1:6443",
      { text: ROOTS },
      { login: { kind: "token", token: { text: `kept-in-${KEPT}` } } },
      undefined,
    ],
  );
});

test("the account, its role and its binding are made, with the rights that reading takes and no more", async () => {
  const lab = new Lab();
  const { err } = await lab.create("--name", "west");
  assert.deepEqual(err.split("\n").sort(), [
    "",
    "created ClusterRole istio-reader-clusterrole-istio-system",
    "created ClusterRoleBinding istio-reader-clusterrole-istio-system",
    "created ServiceAccount istio-system/istio-reader-service-account",
  ]);
  const role = lab.server.get(CLUSTER_ROLES, undefined, `istio-reader-clusterrole-${SYSTEM}`)!;
  const rules = role["rules"] as { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  const rights = rules.flatMap(({ apiGroups: [group], resources, verbs }) =>
    resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
  );
  const needed = REMOTE_KINDS.flatMap(({ type }) =>
    ["list", "watch"].map((verb) => `${verb} ${type.group}/${type.plural}`),
  );
  const more = ["create authentication.k8s.io/tokenreviews", "list apiextensions.k8s.io/customresourcedefinitions"];
  assert.deepEqual(rights.sort(), [...needed, ...more].sort());
  const binding = lab.server.get(CLUSTER_ROLE_BINDINGS, undefined, `istio-reader-clusterrole-${SYSTEM}`)!;
  assert.deepEqual(binding["subjects"], [{ kind: "ServiceAccount", namespace: SYSTEM, name: READER }]);
});

test("what a chart has made stays as it is, and what it does not allow is said", async () => {
  const lab = new Lab();
  lab.account();
  const name = `istio-reader-clusterrole-${SYSTEM}`;
  const role = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", metadata: { name }, rules: [] };
  lab.server.put(role);
  lab.denied = ["list nodes", "create tokenreviews"];
  const { err, code } = await lab.create("--name", "west");
  assert.equal(code, 0);
  assert.deepEqual(lab.server.get(CLUSTER_ROLES, undefined, name)!["rules"], []);
  assert.match(err, /lacks rights.*it may not list nodes, create tokenreviews\.authentication\.k8s\.io\n/);
  assert.doesNotMatch(err, /created ServiceAccount/);
});

test("rights that were given a moment ago count once the API server goes by them", async () => {
  const lab = new Lab();
  lab.denied = ["list nodes", "create tokenreviews"];
  lab.host.clock.after(3_000, () => (lab.denied = []));
  const { err, code } = await lab.create("--name", "west");
  assert.equal(code, 0);
  assert.match(err, /created ClusterRoleBinding/);
  assert.doesNotMatch(err, /lacks rights/);
});

test("without a name the cluster is called by the UID of kube-system", async () => {
  const lab = new Lab();
  const { uid } = lab.server.get(NAMESPACES, undefined, "kube-system")!.metadata;
  const ran = await lab.create();
  assert.equal(secretIn(ran).metadata.name, `istio-remote-secret-${uid}`);
  assert.deepEqual(Object.keys(secretIn(ran).stringData), [uid]);
  lab.server.remove({ apiVersion: "v1", kind: "Namespace", metadata: { name: "kube-system" } });
  const unnamed = await lab.create();
  assert.deepEqual([unnamed.code, unnamed.out], [2, ""]);
  assert.match(unnamed.err, /no namespace kube-system to name the cluster after: give --name/);
});

test("run again, it gives the same token; rotated, a new one, and says how to end the old", async () => {
  const lab = new Lab();
  const first = await lab.create("--name", "west");
  assert.deepEqual(kubeconfigIn(await lab.create("--name", "west")), kubeconfigIn(first));
  const rotated = await lab.create("--name", "west", "--rotate");
  const [fresh, ...more] = lab.server
    .list(SECRETS)
    .flatMap(({ metadata }) => (metadata.name === KEPT ? [] : metadata.name));
  assert.deepEqual([/^istio-reader-.*-token-[0-9a-f]{8}$/.test(fresh!), more], [true, []]);
  assert.deepEqual(kubeconfigIn(rotated).users, [{ name: "west", user: { token: `kept-in-${fresh}` } }]);
  assert.match(rotated.err, new RegExp(`kubectl -n istio-system delete secret ${KEPT}\n`));
  lab.server.remove({ apiVersion: "v1", kind: "Secret", metadata: { name: KEPT, namespace: SYSTEM } });
  const after = await lab.create("--name", "west");
  assert.deepEqual(kubeconfigIn(after), kubeconfigIn(rotated));
  assert.equal(after.err, "");
});

test("a token that istioctl has made is used, but not one of another account or one that Kubernetes has ended", async () => {
  const lab = new Lab();
  lab.account();
  lab.tokenSecret(KEPT, READER, "istioctls");
  assert.deepEqual(kubeconfigIn(await lab.create("--name", "west")).users[0]!.user, { token: "istioctls" });
  lab.tokenSecret(KEPT, "somebody", "anothers");
  const again = await lab.create("--name", "west");
  assert.match(again.err, /already exists/);
  lab.tokenSecret(KEPT, READER, "ended", { labels: { "kubernetes.io/legacy-token-invalid-since": "2026-01-01" } });
  assert.match(JSON.stringify(kubeconfigIn(await lab.create("--name", "west")).users), /kept-in-/);
});

test("with a duration the token ends, and it is said when", async () => {
  const lab = new Lab();
  const ran = await lab.create("--name", "west", "--duration", "48h");
  assert.deepEqual(kubeconfigIn(ran).users[0]!.user, { token: "minted" });
  assert.match(ran.err, /the token ends at 2023-11-1\dT[\d:.]+Z, in 47h: apply a new secret before that/);
  assert.deepEqual(lab.server.list(SECRETS), []);
  lab.ttlSecondsMax = 3_600;
  const less = await lab.create("--name", "west", "--duration", "48h");
  assert.match(less.err, /in 59m, not 2d as asked: apply/);
});

test("a token that ends tells of those that do not", async () => {
  const lab = new Lab();
  lab.account();
  lab.tokenSecret(KEPT, READER, "for-ever");
  const { err } = await lab.create("--name", "west", "--duration", "24h");
  assert.match(err, new RegExp(`older tokens .* delete secret ${KEPT}\n`));
});

test("the roots are those of the namespace, else what the administrator trusts, for a token that came without", async () => {
  const lab = new Lab({ ca: { text: "of the kubeconfig" } });
  const rootsOf = async (): Promise<string> => {
    const { clusters } = kubeconfigIn(await lab.create("--name", "west", "--duration", "24h"));
    return Buffer.from(String(clusters[0]!.cluster["certificate-authority-data"]), "base64").toString();
  };
  assert.equal(await rootsOf(), "of the kubeconfig");
  const metadata = { name: "kube-root-ca.crt", namespace: SYSTEM };
  lab.server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "ca.crt": ROOTS } });
  assert.ok(lab.server.get(CONFIG_MAPS, SYSTEM, "kube-root-ca.crt"));
  assert.equal(await rootsOf(), ROOTS);
});

test("a server that means another machine elsewhere is warned of, and one that is given counts", async () => {
  const lab = new Lab({ server: "https://127.0.0.1:6443", tlsServerName: "kubernetes" });
  const local = await lab.create("--name", "west");
  assert.equal(local.code, 0);
  assert.match(local.err, /the server https:\/\/127\.0\.0\.1:6443 means another machine .*--server\n$/);
  assert.equal(kubeconfigIn(local).clusters[0]!.cluster["tls-server-name"], "kubernetes");
  const given = await lab.create("--name", "west", "--server", "10.9.9.9:6443");
  assert.equal(given.err, "");
  assert.deepEqual(
    [kubeconfigIn(given).clusters[0]!.cluster["server"], kubeconfigIn(given).clusters[0]!.cluster["tls-server-name"]],
    ["https://10.9.9.9:6443", undefined],
  );
  const named = await lab.create("--name", "west", "--server", "10.9.9.9:6443", "--tls-server-name", "api.west");
  assert.equal(kubeconfigIn(named).clusters[0]!.cluster["tls-server-name"], "api.west");
  const plain = await lab.create("--name", "west", "--server", "http://10.9.9.9:8080");
  assert.match(plain.err, /Causeway will refuse the secret as it is: .*has no TLS/);
});

test("a plugin makes no token, and is warned of as what our own reader refuses", async () => {
  const lab = new Lab();
  const ran = await lab.create(
    ...["--name", "west", "--auth-type", "plugin", "--auth-plugin-name", "gcp"],
    ...["--auth-plugin-config", "a=1,b=x=y", "--auth-plugin-config", "c=3"],
  );
  assert.deepEqual(kubeconfigIn(ran).users[0]!.user, {
    "auth-provider": { name: "gcp", config: { a: "1", b: "x=y", c: "3" } },
  });
  assert.match(ran.err, /Causeway will refuse the secret as it is: .*only oidc is supported/);
  assert.deepEqual(lab.server.list(SECRETS), []);
});

test("a config secret is a control plane's own kubeconfig, by an account that is there, and nobody's remote cluster", async () => {
  const lab = new Lab();
  const absent = await lab.create("--type", "config", "--name", "west");
  assert.deepEqual([absent.code, absent.out], [2, ""]);
  assert.match(absent.err, /no service account istio-system\/istiod: install Causeway's roles there first/);
  assert.deepEqual(lab.server.list(SERVICE_ACCOUNTS), []);
  lab.account("istiod");
  const ran = await lab.create("--type", "config", "--name", "west");
  assert.equal(ran.err, "");
  const { metadata, stringData } = secretIn(ran);
  assert.deepEqual(
    [metadata.name, metadata["labels"], Object.keys(stringData)],
    ["istio-kubeconfig", undefined, ["config"]],
  );
});

test("an account that shall not be made must be there", async () => {
  const lab = new Lab();
  const absent = await lab.create("--name", "west", "--create-service-account=false");
  assert.equal(absent.code, 2);
  assert.match(absent.err, /no service account istio-system\/istio-reader-service-account: leave out/);
  assert.deepEqual(lab.server.list(CLUSTER_ROLES), []);
  lab.account("mine");
  const ran = await lab.create("--name", "west", "--create-service-account=false", "--service-account", "mine");
  assert.deepEqual([ran.code, ran.err], [0, ""]);
  assert.deepEqual(lab.server.list(CLUSTER_ROLES), []);
});

test("another account gets a binding of its own, in its namespace", async () => {
  const lab = new Lab();
  await lab.create("--name", "west", "--service-account", "mine");
  const [{ metadata, subjects }] = lab.server.list(CLUSTER_ROLE_BINDINGS) as [KubeObject];
  assert.equal(metadata.name, "istio-reader-clusterrole-istio-system-mine");
  assert.deepEqual(subjects, [{ kind: "ServiceAccount", namespace: SYSTEM, name: "mine" }]);
});

test("a token that nobody writes is given up, with what to do", async () => {
  const lab = new Lab();
  lab.fillsAfterMs = undefined;
  const ran = await lab.create("--name", "west");
  assert.deepEqual([ran.code, ran.out], [2, ""]);
  assert.match(ran.err, /no controller has written a token into Secret .* within 10 s: .*--duration/);
});

test("whoever may not ask what others may, gets the secret all the same", async () => {
  const lab = new Lab();
  const { answer } = lab.server;
  lab.server.answer = (request, user) => {
    if (!request.path.endsWith("/subjectaccessreviews")) return answer(request, user);
    lab.server.authorize({ ...NOWHERE, plural: "subjectaccessreviews", group: "authorization.k8s.io" }, "create", user);
    return undefined;
  };
  lab.server.faults.forbidden = ({ resource }) => resource === "subjectaccessreviews";
  const { code, err } = await lab.create("--name", "west");
  assert.equal(code, 0);
  assert.doesNotMatch(err, /lacks rights/);
});
const NOWHERE = {
  version: "v1",
  namespace: undefined,
  name: undefined,
  subresource: undefined,
  query: new URLSearchParams(),
};

test("what is called wrongly ends with 64 and names the flag; nothing is made", async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--name", "a b"], /--name is "a b": use letters/],
    [["--server", "ftp://x"], /--server is "ftp:\/\/x": give a URL/],
    [["--server", "https://me:secret@x"], /--server is/],
    [["--duration", "5m"], /no token for less than 10m/],
    [["--duration", "1 day"], /give a duration, as 24h/],
    [["--duration", "24h", "--rotate"], /--rotate and --secret-name are different tokens: give one/],
    [["--secret-name", "a", "--rotate"], /are different tokens/],
    [["--secret-name", "A"], /--secret-name is "A": use lower case/],
    [["--auth-type", "plugin"], /needs --auth-plugin-name/],
    [["--auth-type", "plugin", "--auth-plugin-name", "x", "--rotate"], /a plugin has none here/],
    [["--auth-type", "plugin", "--auth-plugin-name", "x", "--auth-plugin-config", "a"], /give key=value/],
    [["--auth-plugin-name", "x"], /need --auth-type plugin/],
    [["--auth-type", "basic"], /Allowed choices are bearer-token, plugin/],
    [["--create-service-account=perhaps"], /give true or false/],
    [["--namespace", "A"], /give the name of a namespace/],
  ];
  for (const [words, reason] of cases) {
    const lab = new Lab();
    const { code, err, out } = await lab.create(...words);
    assert.deepEqual([code, out, lab.server.requests.length], [64, "", 0], err);
    assert.match(err, reason);
  }
});

test("a Secret is named after its cluster as far as Secrets may be", async () => {
  for (const [cluster, name] of [
    ["Kubernetes", "kubernetes"],
    ["West_1", "west-1"],
    ["a..b-.c", "a.b.c"],
  ] as const) {
    const { metadata, stringData } = secretIn(await new Lab().create("--name", cluster));
    assert.deepEqual([metadata.name, Object.keys(stringData)], [`istio-remote-secret-${name}`, [cluster]]);
  }
});

test("the token of a Secret that is named is used, if it is one of the account", async () => {
  const lab = new Lab();
  lab.tokenSecret("mine", READER, "named");
  const ran = await lab.create("--name", "west", "--secret-name", "mine");
  assert.deepEqual(kubeconfigIn(ran).users[0]!.user, { token: "named" });
  assert.equal(lab.server.list(SECRETS).length, 1);
  lab.tokenSecret("theirs", "somebody", "another");
  for (const name of ["theirs", "missing"]) {
    const { code, err } = await lab.create("--name", "west", "--secret-name", name);
    assert.equal(code, 2);
    assert.match(err, new RegExp(`no Secret istio-system/${name} with a token of ${READER}`));
  }
});

test("istioctl's name for the namespace will do", async () => {
  const ran = await new Lab().create("--name", "west", "-i", "mesh");
  assert.equal(secretIn(ran).metadata["namespace"], "mesh");
  const both = await new Lab().create("--name", "west", "-i", "mesh", "-n", "readers");
  assert.equal(secretIn(both).metadata["namespace"], "readers");
});
