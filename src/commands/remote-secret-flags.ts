import { type Flag, type Options, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { allGiven, type Given, given, matching, refuse, setting, truthOf } from "../settings.ts";
import { DEFAULT_READER, type ReaderAccount } from "./reader-account.ts";

/** What `create-remote-secret` is asked for; what is undefined follows from the cluster. */
export interface RemoteSecretRequest {
  readonly cluster: string | undefined;
  readonly type: "remote" | "config";
  readonly secretName: string | undefined;
  readonly account: ReaderAccount;
  readonly createAccount: boolean;
  readonly server: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly auth:
    | { readonly kind: "plugin"; readonly name: string; readonly config: Readonly<Record<string, string>> }
    | { readonly kind: "kept-token"; readonly rotate: boolean }
    | { readonly kind: "minted-token"; readonly ttlMs: number };
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}

const AUTH_TYPES = ["bearer-token", "plugin"];
const TYPES = ["remote", "config"];

const FLAGS = {
  name: setting("--name <cluster>", "the cluster's name in the mesh; the UID of its namespace kube-system by default"),
  serviceAccount: setting(
    "--service-account <name>",
    `whose rights the secret gives; ${DEFAULT_READER} by default, istiod for --type config`,
  ),
  createServiceAccount: setting(
    "--create-service-account [truth]",
    "make that account and its role where they are missing; true by default",
  ),
  authType: {
    flag: {
      ...setting("--auth-type <type>", "how it authenticates; bearer-token by default").flag,
      choices: AUTH_TYPES,
    },
  },
  authPluginName: setting("--auth-plugin-name <name>", "of the auth provider, for --auth-type plugin"),
  authPluginConfig: setting("--auth-plugin-config <key=value>", "its settings, commas between", undefined, true),
  server: setting("--server <url>", "where others reach its API server; as the kubeconfig says by default"),
  tlsServerName: setting("--tls-server-name <name>", "the name in the certificate of that server, if another"),
  secretName: setting("--secret-name <name>", "istio-remote-secret-<cluster> by default"),
  type: {
    flag: {
      ...setting("--type <type>", "remote by default; config for a control plane that runs elsewhere").flag,
      choices: TYPES,
    },
  },
  kubeconfig: setting("--kubeconfig <file>", "how to reach the cluster as its administrator", "KUBECONFIG"),
  context: setting("--context <name>", "which context of that file; its current one by default"),
  namespace: setting("-n, --namespace <name>", "of the account and the secret; istio-system by default"),
  duration: setting("--duration <duration>", "a token that ends, 10m at least; without it, one that does not"),
  rotate: { flag: { flags: "--rotate", description: "make a new token that does not end, beside the one there is" } },
} as const;

export const REMOTE_SECRET_FLAGS: readonly Flag[] = Object.values(FLAGS).map(({ flag }) => flag);

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const CLUSTER = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;
const DNS_RIGHT = "use lower case letters, digits, '-' and '.'";
/** What API servers give at least. */
const TTL_MS_MIN = 600_000;

/** @throws UsageError naming the flag, its value and what would be right. */
export function remoteSecretRequest(options: Options): RemoteSecretRequest {
  const read = <T>(name: keyof typeof FLAGS, parse: (value: Given) => T): T | undefined => {
    const value = given(FLAGS[name], options, {});
    return value && parse(value);
  };
  const dnsName = (value: Given): string => matching(value, DNS_NAME, DNS_RIGHT);
  const type = read("type", ({ text }) => text) === "config" ? "config" : "remote";
  const cluster = read("name", (value) => matching(value, CLUSTER, "use letters, digits, '.', '-' and '_'"));
  const secretName = read("secretName", dnsName);
  if (type === "remote" && cluster !== undefined && secretName === undefined && !DNS_NAME.test(cluster))
    throw new UsageError(`--name "${cluster}" makes no name of a Secret: give it one with --secret-name`);
  return {
    cluster,
    type,
    secretName,
    account: {
      namespace: read("namespace", (value) => matching(value, LABEL, "give the name of a namespace")) ?? "istio-system",
      name: read("serviceAccount", dnsName) ?? (type === "config" ? "istiod" : DEFAULT_READER),
    },
    // A flag with nothing after it says yes.
    createAccount: read("createServiceAccount", truthOf) ?? true,
    server: read("server", serverOf),
    tlsServerName: read("tlsServerName", dnsName),
    auth: authOf(options, read),
    kubeconfig: read("kubeconfig", ({ text }) => text),
    context: read("context", ({ text }) => text),
  };
}

function authOf(
  options: Options,
  read: <T>(name: keyof typeof FLAGS, parse: (value: Given) => T) => T | undefined,
): RemoteSecretRequest["auth"] {
  const name = read("authPluginName", ({ text }) => text);
  const settings = allGiven(FLAGS.authPluginConfig, options);
  const ttlMs = read("duration", ttlOf);
  const rotate = options["rotate"] === true;
  if (read("authType", ({ text }) => text) === "plugin") {
    if (name === undefined) throw new UsageError("--auth-type plugin needs --auth-plugin-name");
    if (ttlMs !== undefined || rotate)
      throw new UsageError("--duration and --rotate are of tokens; a plugin has none here");
    return { kind: "plugin", name, config: Object.fromEntries(settings.flatMap(pairsOf)) };
  }
  if (name !== undefined || settings.length > 0)
    throw new UsageError("--auth-plugin-name and --auth-plugin-config need --auth-type plugin");
  if (ttlMs === undefined) return { kind: "kept-token", rotate };
  if (rotate) throw new UsageError("--rotate is of tokens that do not end: with --duration each is a new one");
  return { kind: "minted-token", ttlMs };
}

function pairsOf(value: Given): readonly (readonly [string, string])[] {
  return value.text.split(",").map((pair) => {
    const [, key, setting] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (key === undefined || setting === undefined) return refuse(value, "give key=value, with commas between");
    return [key.trim(), setting];
  });
}

function ttlOf(value: Given): number {
  const ttlMs = parseDurationMs(value.text) ?? refuse(value, "give a duration, as 24h");
  return ttlMs >= TTL_MS_MIN ? ttlMs : refuse(value, "API servers give no token for less than 10m");
}

function serverOf(value: Given): string {
  const right = "give a URL, as https://10.0.0.1:6443";
  const url = urlOf(value.text.includes("://") ? value.text : `https://${value.text}`) ?? refuse(value, right);
  const plain = /^https?:$/.test(url.protocol) && [url.username, url.password, url.search, url.hash].join("") === "";
  return plain ? url.href.replace(/\/+$/, "") : refuse(value, right);
}

function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
