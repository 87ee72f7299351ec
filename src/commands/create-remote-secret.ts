import type { Command, Environment } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { MeshError } from "../errors.ts";
import type { Host } from "../host.ts";
import type { KubeApi } from "../kube/api.ts";
import type { ClusterConnection } from "../kube/connection.ts";
import { textOf } from "../kube/credentials.ts";
import { HttpKubeApi } from "../kube/http-api.ts";
import { localConnection } from "../kube/local-connection.ts";
import { getObject } from "../kube/objects-api.ts";
import { CONFIG_MAPS, NAMESPACES } from "../kube/resource-types.ts";
import { parseLogLevels } from "../log-levels.ts";
import { printable } from "../printable.ts";
import { systemHost } from "../system-host.ts";
import { makeReader, missingRights, requireAccount } from "./reader-account.ts";
import { keptToken, mintToken, type ReaderToken } from "./reader-token.ts";
import { REMOTE_SECRET_FLAGS, remoteSecretRequest, type RemoteSecretRequest } from "./remote-secret-flags.ts";
import { doubtsOf, remoteSecretYaml, type RemoteUser } from "./remote-secret.ts";

/** An API server goes by roles and bindings that were just made within a second, or some more under load. */
const TAKEN_UP_MS_MAX = 5_000;

/** A cluster, as its administrator reaches it. */
export interface AdministeredCluster {
  readonly host: Host;
  readonly api: KubeApi;
  readonly connection: Pick<ClusterConnection, "server" | "tlsServerName" | "ca">;
}

/** Opens what a kubeconfig names. @throws MeshError */
export type Administer = (
  options: { readonly kubeconfig: string | undefined; readonly context: string | undefined },
  environment: Environment,
) => Promise<AdministeredCluster>;

/** `causeway create-remote-secret`: what lets other control planes read this cluster (contract peering.md 4.6). */
export const createRemoteSecretCommand = remoteSecretCommand(async (options, environment) => {
  const { connection } = await localConnection(options, environment, environment["HOME"] ?? "/");
  const host = systemHost({ logLevels: parseLogLevels("create-remote-secret", "none"), logAsJson: false });
  return { host, api: new HttpKubeApi(host, connection), connection };
});

export function remoteSecretCommand(administer: Administer): Command {
  return {
    name: "create-remote-secret",
    summary: "print a Secret by which other control planes read this cluster",
    flags: REMOTE_SECRET_FLAGS,
    async run({ options, environment, printer, signal }) {
      const request = remoteSecretRequest(options);
      const cluster = await administer(request, environment);
      try {
        const { yaml, notes } = await makeSecret(cluster, request, signal);
        for (const note of notes) printer.err(`${printable(note, 1_000)}\n`);
        printer.out(yaml);
        return 0;
      } finally {
        await cluster.api.close();
      }
    },
  };
}

async function makeSecret(
  cluster: AdministeredCluster,
  request: RemoteSecretRequest,
  signal: AbortSignal,
): Promise<{ readonly yaml: string; readonly notes: readonly string[] }> {
  const { api, connection } = cluster;
  const { account, type } = request;
  const { namespace } = account;
  const name = request.cluster ?? (await uidOfCluster(api, signal));
  const accountNotes = await settleAccount(cluster, request, signal);
  const { user, token } = await userOf(cluster, request, signal);
  const secret = {
    cluster: name,
    type,
    name: type === "config" ? "istio-kubeconfig" : secretNameOf(name),
    namespace,
    server: request.server ?? connection.server,
    // Another address may have another name.
    tlsServerName: request.tlsServerName ?? (request.server === undefined ? connection.tlsServerName : undefined),
    roots: token?.roots ?? (await rootsOf(cluster, namespace, signal)),
    user,
  };
  const tokenNotes = token === undefined ? [] : notesOn(token, request, cluster.host.clock.now());
  return { yaml: remoteSecretYaml(secret), notes: [...accountNotes, ...tokenNotes, ...doubtsOf(secret)] };
}

/** The name of a cluster may have what that of a Secret may not; only the key in it counts. */
function secretNameOf(cluster: string): string {
  const name = cluster
    .toLowerCase()
    .replace(/_/g, "-")
    .replace(/[-.]*\.[-.]*/g, ".");
  return `istio-remote-secret-${name}`;
}

async function uidOfCluster(api: KubeApi, signal: AbortSignal): Promise<string> {
  const namespace = await getObject(api, { type: NAMESPACES, version: "v1", name: "kube-system" }, signal);
  const uid = namespace?.metadata.uid ?? "";
  if (/^[a-z0-9-]+$/.test(uid)) return uid;
  throw new MeshError("absent", `${api.server} has no namespace kube-system to name the cluster after: give --name`);
}

/** @returns what to tell of it. */
async function settleAccount(
  { api, host }: AdministeredCluster,
  request: RemoteSecretRequest,
  signal: AbortSignal,
): Promise<string[]> {
  const { account, type, createAccount } = request;
  // What a whole control plane may do is for its installation to say.
  const fix = type === "config" ? "install Causeway's roles there first" : "leave out --create-service-account";
  const made = type === "remote" && createAccount ? await makeReader(api, account, signal) : [];
  await requireAccount(api, account, fix, signal);
  const created = made.map((object) => `created ${object}`);
  if (type === "config") return created;
  const missing = await missingRights({ api, host }, account, made.length > 0 ? TAKEN_UP_MS_MAX : 0, signal);
  if (missing === undefined || missing.length === 0) return created;
  const who = `service account ${account.namespace}/${account.name}`;
  return [...created, `${who} lacks rights, and the cluster will not be read whole: it may not ${missing.join(", ")}`];
}

async function userOf(
  { host, api }: AdministeredCluster,
  { account, auth }: RemoteSecretRequest,
  signal: AbortSignal,
): Promise<{ readonly user: RemoteUser; readonly token?: ReaderToken }> {
  if (auth.kind === "plugin") return { user: { "auth-provider": { name: auth.name, config: auth.config } } };
  const token =
    auth.kind === "minted-token"
      ? await mintToken(api, account, auth.ttlMs, signal)
      : await keptToken(host, api, account, auth, signal);
  return { user: { token: token.token }, token };
}

/** What Kubernetes puts into every namespace, else what the administrator trusts. */
async function rootsOf(
  { api, connection }: AdministeredCluster,
  namespace: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const at = { type: CONFIG_MAPS, version: "v1", namespace, name: "kube-root-ca.crt" };
  const { "ca.crt": roots } = ((await getObject(api, at, signal))?.["data"] ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof roots === "string" && roots !== "") return roots;
  return connection.ca && textOf(connection.ca);
}

function notesOn(
  { expiresAt, others }: ReaderToken,
  { account, auth }: RemoteSecretRequest,
  now: number,
): readonly string[] {
  const notes: string[] = [];
  if (expiresAt !== undefined && auth.kind === "minted-token") {
    const lasts = expiresAt - now;
    const less = lasts < auth.ttlMs - 60_000 ? `, not ${formatDuration(auth.ttlMs)} as asked` : "";
    const when = `${new Date(expiresAt).toISOString()}, in ${formatDuration(lasts)}${less}`;
    notes.push(`the token ends at ${when}: apply a new secret before that`);
  }
  const replaced = auth.kind === "minted-token" || (auth.kind === "kept-token" && auth.rotate);
  if (replaced && others.length > 0)
    notes.push(
      "older tokens of the account stay good until their Secrets are deleted; once the new secret is applied " +
        `everywhere: kubectl -n ${account.namespace} delete secret ${others.join(" ")}`,
    );
  return notes;
}
