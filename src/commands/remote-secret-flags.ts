import { type Flag, type Options, UsageError } from "../command.ts";
import { parseDurationMs } from "../duration.ts";
import { allGiven, type Given, given, matching, refuse, setting, truthOf } from "../settings.ts";
import { DEFAULT_READER, type ReaderAccount } from "./reader-account.ts";

/** What `create-remote-secret` is asked for; what is undefined follows from the cluster. */
export interface RemoteSecretRequest {
  readonly cluster: string | undefined;
  readonly type: "remote" | "config";
  readonly account: ReaderAccount;
  readonly createAccount: boolean;
  readonly server: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly auth:
    | { readonly kind: "plugin"; readonly name: string; readonly config: Readonly<Record<string, string>> }
    /** From the Secret of that name, if one is given. */
    | { readonly kind: "kept-token"; readonly secret: string | undefined; readonly rotate: boolean }
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
  secretName: setting("--secret-name <name>", "which Secret's token of the account to use, if it has several"),
  type: {
    flag: {
      ...setting("--type <type>", "remote by default; config for a control plane that runs elsewhere").flag,
      choices: TYPES,
    },
  },
  kubeconfig: setting("-c, --kubeconfig <file>", "how to reach the cluster as its administrator", "KUBECONFIG"),
  context: setting("--context <name>", "which context of that file; its current one by default"),
  namespace: setting("-n, --namespace <name>", "of the account and the secret; istio-system by default"),
  istioNamespace: setting("-i, --istioNamespace <name>", "the same, as istioctl calls it; -n comes first"),
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
  const namespace = (value: Given): string => matching(value, LABEL, "give the name of a namespace");
  return {
    cluster,
    type,
    account: {
      namespace: read("namespace", namespace) ?? read("istioNamespace", namespace) ?? "istio-system",
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
  const secret = read("secretName", (value) => matching(value, DNS_NAME, DNS_RIGHT));
  const exclusive = [ttlMs !== undefined, rotate, secret !== undefined].filter((asked) => asked).length;
  if (exclusive > 1)
    throw new UsageError("--duration, --rotate and --secret-name are different tokens: give one of them");
  if (read("authType", ({ text }) => text) === "plugin") {
    if (name === undefined) throw new UsageError("--auth-type plugin needs --auth-plugin-name");
    if (exclusive > 0)
      throw new UsageError("--duration, --rotate and --secret-name are of tokens; a plugin has none here");
    return { kind: "plugin", name, config: Object.fromEntries(settings.flatMap(pairsOf)) };
  }
  if (name !== undefined || settings.length > 0)
    throw new UsageError("--auth-plugin-name and --auth-plugin-config need --auth-type plugin");
  return ttlMs === undefined ? { kind: "kept-token", secret, rotate } : { kind: "minted-token", ttlMs };
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
