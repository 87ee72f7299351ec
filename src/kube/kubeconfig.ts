import { MeshError } from "../errors.ts";
import type { InsecureKubeconfigOption } from "../insecure-kubeconfig.ts";
import { printable } from "../printable.ts";
import { ADDRESS_KINDS, type AddressKind, kindOfHost } from "../address-kind.ts";
import type { ClusterConnection } from "./connection.ts";
import { certificatesIn } from "./kubeconfig-material.ts";
import { type KubeconfigFile, parseKubeconfig, type Section } from "./kubeconfig-file.ts";
import { readUser } from "./kubeconfig-user.ts";

/** The operator's own: it may name files and programs. */
interface OwnRules {
  readonly trusted: true;
  /** Instead of its current one. */
  readonly context?: string | undefined;
}

/** Somebody else's, as in a remote secret. */
interface ForeignRules {
  readonly trusted: false;
  /** Words of INSECURE_KUBECONFIG_OPTIONS; others have no effect. */
  readonly allowed: ReadonlySet<string>;
}

export type KubeconfigRules = {
  /** Begins each error; `kubeconfig` by default. */
  readonly source?: string;
} & (ForeignRules | (OwnRules & { /** What its paths are relative to. */ readonly baseDir: string }));

/**
 * Reads a kubeconfig. Nothing is run, called or read from disk here, and for one that is not trusted nothing will be,
 * but for what `allowed` names.
 * @throws MeshError `invalid` or `unsupported`, naming the line, the field and what to do.
 */
export function readKubeconfig(text: string, rules: KubeconfigRules): ClusterConnection {
  const file = parseKubeconfig(text, rules.source ?? "kubeconfig", rules.trusted ? rules.baseDir : undefined);
  return connectionOf(file, rules);
}

/** The second half of `readKubeconfig`, for several files that were merged. */
export function connectionOf(file: KubeconfigFile, rules: OwnRules | ForeignRules): ClusterConnection {
  if (!rules.trusted) refuseInsecure(file, rules.allowed);
  const context = contextOf(file, rules.trusted ? rules.context : undefined);
  const cluster = readCluster(referred(context, "cluster", file.clusters));
  const user = context.has("user") ? referred(context, "user", file.users) : undefined;
  const oidcRefresh = rules.trusted || rules.allowed.has("oidcRefresh");
  return {
    ...cluster,
    user: user === undefined ? {} : readUser(user, cluster, { oidcRefresh }),
    refusedAddresses: rules.trusted ? [] : refusedBy(rules.allowed),
  };
}

const refusedBy = (allowed: ReadonlySet<string>): readonly AddressKind[] =>
  (["loopback", "linkLocal"] as const).filter((kind) => !allowed.has(kind));

function contextOf(file: KubeconfigFile, asked: string | undefined): Section {
  const name = asked ?? file.currentContext;
  const names = [...file.contexts.keys()].map((known) => printable(known, 80)).join(", ") || "none";
  if (name === undefined)
    throw new MeshError("invalid", `${file.source}: current-context is missing; it has the contexts ${names}`);
  const context = file.contexts.get(name);
  if (context !== undefined) return context;
  const what = asked === undefined ? "current-context is" : "there is no context";
  throw new MeshError(
    "invalid",
    `${file.source}: ${what} "${printable(name, 80)}"${asked === undefined ? ", which is not there" : ""}; it has the contexts ${names}`,
  );
}

function referred(context: Section, field: "cluster" | "user", known: ReadonlyMap<string, Section>): Section {
  const name = context.text(field);
  if (name === undefined) throw context.refusal(field, "is missing");
  const found = known.get(name);
  if (found === undefined) throw context.refusal(field, `is "${printable(name, 80)}", but there is no such ${field}`);
  return found;
}

function readCluster(
  cluster: Section,
): Pick<ClusterConnection, "server" | "ca" | "insecureSkipTlsVerify" | "tlsServerName"> {
  if (cluster.has("proxy-url"))
    throw cluster.refusal("proxy-url", "is not supported: the server must be reachable without a proxy");
  const ca = certificatesIn(cluster, "certificate-authority");
  const insecureSkipTlsVerify = cluster.truth("insecure-skip-tls-verify");
  if (ca !== undefined && insecureSkipTlsVerify)
    throw cluster.refusal("insecure-skip-tls-verify", "contradicts the certificate authority; keep one of them");
  return {
    server: serverUrl(cluster).href.replace(/\/+$/, ""),
    ca,
    insecureSkipTlsVerify,
    tlsServerName: cluster.text("tls-server-name"),
  };
}

const URL_CHARACTERS_MAX = 2048;

/** With `https://` if it does not say, as kubectl takes it. */
function serverUrl(cluster: Section): URL {
  const text = cluster.text("server");
  if (text === undefined) throw cluster.refusal("server", "is missing");
  if (text.length > URL_CHARACTERS_MAX)
    throw cluster.refusal("server", `is ${text.length} characters long; at most ${URL_CHARACTERS_MAX} are read`);
  const shown = printable(text.replace(/\/\/[^/]*@/, "//…@"), 200);
  const url = parsedUrl(text.includes("://") || /^[a-z]+:[^0-9]/i.test(text) ? text : `https://${text}`);
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === "")
    throw cluster.refusal("server", `is "${shown}"; it must be a URL, as https://10.0.0.1:6443`);
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw cluster.refusal("server", `is "${shown}"; it must have no user, password, query or fragment`);
  return url;
}

function parsedUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** All that is there is judged, used or not: what is refused today must not be one edit of a name away. */
function refuseInsecure(file: KubeconfigFile, allowed: ReadonlySet<string>): void {
  if (file.contexts.size > 1)
    throw new MeshError(
      "invalid",
      `${file.source}: it has ${file.contexts.size} contexts, and must have the one to use; make it with "kubectl config view --minify --flatten --raw"`,
    );
  for (const cluster of file.clusters.values()) refuseInsecureCluster(cluster, allowed);
  for (const user of file.users.values()) refuseInsecureUser(user, allowed);
}

function refuseInsecureCluster(cluster: Section, allowed: ReadonlySet<string>): void {
  const refuse = (field: string, option: InsecureKubeconfigOption, why: string): void =>
    refuseUnless(allowed, cluster, field, option, why);
  if (cluster.has("certificate-authority"))
    refuse("certificate-authority", "certificateAuthority", "names a file of ours; give certificate-authority-data");
  if (cluster.truth("insecure-skip-tls-verify"))
    refuse(
      "insecure-skip-tls-verify",
      "insecureSkipTlsVerify",
      "would let anyone in between be that cluster; give certificate-authority-data",
    );
  const { protocol, hostname } = serverUrl(cluster);
  if (protocol === "http:") refuse("server", "http", "has no TLS; give an https URL");
  const kind = kindOfHost(hostname);
  if (kind !== undefined)
    refuse("server", kind, `is ${ADDRESS_KINDS[kind]}; give an address that leads to the cluster`);
}

const INSECURE_USER_FIELDS: readonly (readonly [field: string, option: InsecureKubeconfigOption, why: string])[] = [
  ["exec", "exec", "names a program to run; give a token"],
  ["client-key", "clientKey", "names a file of ours; give client-key-data"],
  ["client-certificate", "clientCertificate", "names a file of ours; give client-certificate-data"],
  ["tokenFile", "tokenFile", "names a file of ours; give a token"],
];

function refuseInsecureUser(user: Section, allowed: ReadonlySet<string>): void {
  for (const [field, option, why] of INSECURE_USER_FIELDS)
    if (user.has(field)) refuseUnless(allowed, user, field, option, why);
  for (const field of user.fields.filter((name) => /^as(-|$)/.test(name)))
    refuseUnless(allowed, user, field, "impersonate", "asks to be somebody else; give the user itself");
}

function refuseUnless(
  allowed: ReadonlySet<string>,
  section: Section,
  field: string,
  option: InsecureKubeconfigOption,
  why: string,
): void {
  if (allowed.has(option)) return;
  throw section.refusal(field, `${why}, or allow "${option}" in PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS`);
}
