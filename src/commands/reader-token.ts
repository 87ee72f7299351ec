import { MeshError } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import { type KubeApi, pathOf } from "../kube/api.ts";
import type { KubeObject } from "../kube/object.ts";
import { createObject, getObject } from "../kube/objects-api.ts";
import { SECRETS, SERVICE_ACCOUNTS } from "../kube/resource-types.ts";
import type { ReaderAccount } from "./reader-account.ts";

export interface ReaderToken {
  readonly token: string;
  /** PEM of what verifies the API server, if the token came with it. */
  readonly roots: string | undefined;
  /** Undefined if it never ends. */
  readonly expiresAt: EpochMs | undefined;
  /** Secrets with tokens of the same account that are good for as long as they are there. */
  readonly others: readonly string[];
}

/** A token of the account that ends after `ttlMs`, or earlier if the API server says so. */
export async function mintToken(
  api: KubeApi,
  account: ReaderAccount,
  ttlMs: number,
  signal: AbortSignal,
): Promise<ReaderToken> {
  const { namespace, name } = account;
  const body = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: Math.ceil(ttlMs / 1000) },
  };
  const path = `${pathOf(SERVICE_ACCOUNTS, "v1", namespace, name)}/token`;
  const { status } = (await api.call({ method: "POST", path, body }, signal)) as {
    readonly status?: { readonly token?: unknown; readonly expirationTimestamp?: unknown };
  };
  const expiresAt = Date.parse(String(status?.expirationTimestamp));
  if (typeof status?.token !== "string" || Number.isNaN(expiresAt))
    throw new MeshError("unavailable", `${api.server} answered a TokenRequest without a token and its expiry`);
  const others = (await tokenSecrets(api, account, signal)).map(({ metadata }) => metadata.name);
  return { token: status.token, roots: undefined, expiresAt, others };
}

/**
 * A token of the account that never ends, kept in a Secret beside it: the one that is there, or a new one to `rotate`.
 * @param options `secret` names the one to use.
 */
export async function keptToken(
  host: Pick<Host, "clock" | "random">,
  api: KubeApi,
  account: ReaderAccount,
  { secret, rotate }: { readonly secret: string | undefined; readonly rotate: boolean },
  signal: AbortSignal,
): Promise<ReaderToken> {
  if (secret !== undefined) return namedToken(host, api, account, secret, signal);
  const there = await tokenSecrets(api, account, signal);
  const usable = there.filter(({ metadata }) => metadata.labels?.[INVALID] === undefined);
  const [newest] = rotate ? [] : usable.sort((a, b) => (createdOf(a) < createdOf(b) ? 1 : -1));
  const name = newest?.metadata.name ?? (await newSecret(host, api, account, there.length > 0, signal));
  const others = there.map(({ metadata }) => metadata.name).filter((other) => other !== name);
  return { ...(await filled(host, api, { ...account, name }, signal)), expiresAt: undefined, others };
}

async function namedToken(
  host: Pick<Host, "clock">,
  api: KubeApi,
  account: ReaderAccount,
  name: string,
  signal: AbortSignal,
): Promise<ReaderToken> {
  const { namespace } = account;
  const found = await getObject(api, { type: SECRETS, version: "v1", namespace, name }, signal);
  if (found === undefined || !holdsTokenOf(found, account))
    throw new MeshError("absent", `there is no Secret ${namespace}/${name} with a token of ${account.name}`);
  return { ...(await filled(host, api, { namespace, name }, signal)), expiresAt: undefined, others: [] };
}

const TYPE = "kubernetes.io/service-account-token";
const ACCOUNT = "kubernetes.io/service-account.name";
/** Kubernetes sets it on tokens that nobody used for a year; they are refused then. */
const INVALID = "kubernetes.io/legacy-token-invalid-since";
const OURS = { "app.kubernetes.io/managed-by": "causeway" };
/** What istioctl calls it too. */
const secretName = ({ name }: ReaderAccount): string => `${name}-istio-remote-secret-token`;

const holdsTokenOf = ({ type, metadata }: KubeObject, { name }: ReaderAccount): boolean =>
  type === TYPE && metadata.annotations?.[ACCOUNT] === name;

const createdOf = ({ metadata }: KubeObject): string => metadata.creationTimestamp ?? "";

/** The one under the name that istioctl gives it, and those that we made to rotate. */
async function tokenSecrets(api: KubeApi, account: ReaderAccount, signal: AbortSignal): Promise<KubeObject[]> {
  const { namespace } = account;
  const first = await getObject(api, { type: SECRETS, version: "v1", namespace, name: secretName(account) }, signal);
  const selector = Object.entries(OURS).map(([label, value]) => `${label}=${value}`);
  const path = `${pathOf(SECRETS, "v1", namespace)}?labelSelector=${encodeURIComponent(selector.join())}`;
  const { items = [] } = (await api.call({ method: "GET", path }, signal)) as {
    readonly items?: readonly KubeObject[];
  };
  const all = new Map([...(first ? [first] : []), ...items].map((secret) => [secret.metadata.name, secret]));
  return [...all.values()].filter((secret) => holdsTokenOf(secret, account));
}

async function newSecret(
  { random }: Pick<Host, "random">,
  api: KubeApi,
  account: ReaderAccount,
  another: boolean,
  signal: AbortSignal,
): Promise<string> {
  const { namespace } = account;
  const suffix = another ? `-${Buffer.from(random.bytes(4)).toString("hex")}` : "";
  const name = `${secretName(account)}${suffix}`;
  const metadata = { name, namespace, labels: OURS, annotations: { [ACCOUNT]: account.name } };
  const secret = { apiVersion: "v1", kind: "Secret", metadata, type: TYPE };
  await createObject(api, { type: SECRETS, version: "v1", namespace }, secret, signal);
  return name;
}

const FILLED_EVERY_MS = 200;
const FILLED_MS_MAX = 10_000;

/** The cluster's token controller writes the token into the Secret some time after that was made. */
async function filled(
  { clock }: Pick<Host, "clock">,
  api: KubeApi,
  { namespace, name }: ReaderAccount,
  signal: AbortSignal,
): Promise<Pick<ReaderToken, "token" | "roots">> {
  const givenUpAtMs = clock.elapsedMs() + FILLED_MS_MAX;
  for (;;) {
    const secret = await getObject(api, { type: SECRETS, version: "v1", namespace, name }, signal);
    const { token, "ca.crt": roots } = (secret?.["data"] ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof token === "string" && token !== "")
      return { token: decoded(token), roots: typeof roots === "string" ? decoded(roots) : undefined };
    if (clock.elapsedMs() >= givenUpAtMs) break;
    await new Promise<void>((resolve) => clock.after(FILLED_EVERY_MS, resolve));
    signal.throwIfAborted();
  }
  const why = `no controller has written a token into Secret ${namespace}/${name} within ${FILLED_MS_MAX / 1000} s`;
  throw new MeshError("unavailable", `${why}: look at the kube-controller-manager, or use --duration`);
}

const decoded = (base64: string): string => Buffer.from(base64, "base64").toString("utf8");
