import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Config, loadConfig, type ManifestCluster } from "../../config.ts";
import { MeshError } from "../../errors.ts";
import { type ClusterFacts, pageOf } from "../../inspect/cluster-facts.ts";
import { readFacts } from "../../inspect/facts-folder.ts";
import { isFields } from "../../kube/fields.ts";
import { type ClusterId, clusterId, isClusterId } from "../../names.ts";

/** A cluster of an archive, and the control plane that is to stand for its own. */
export interface ReplayedCluster {
  readonly cluster: ClusterId;
  readonly facts: ClusterFacts;
  readonly config: Config;
  /** What its control plane served when the report was made; undefined if nobody asked it. */
  readonly ambientz: unknown;
  /** What a replay cannot have, or leaves out, each as a sentence. */
  readonly limits: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** What makes pods: an archive of a real cluster has those pods. */
const MAKERS = /^(?:deployments|daemonsets|statefulsets|replicasets|jobs|cronjobs)\./;
/** What of the settings decides what is derived; the rest is about this machine. */
const KEPT = [
  ...["allocateIps", "workloadEntrySelection", "multiNetwork", "dryRunPolicies", "network", "trustDomain"],
  ...["clusterDomain", "systemNamespace", "revision", "chosen"],
] as const;
const KEPT_OF_PEERING = ["enabled", "served", "stalePolicy", "accounts", "namespaceTakeover", "flatPeering"] as const;

/**
 * @param place an unpacked archive. @param stateDir where each control plane gets a folder.
 * @throws MeshError `invalid` if no cluster of it can be replayed.
 */
export async function replayedClusters(place: string, stateDir: string): Promise<readonly ReplayedCluster[]> {
  const folders = await readdir(join(place, "clusters")).catch(() => []);
  const clusters: ReplayedCluster[] = [];
  for (const folder of folders.sort()) {
    const at = join(place, "clusters", folder);
    const [facts] = await readFacts(at);
    if (facts === undefined || facts.unread !== undefined || !isClusterId(facts.cluster)) continue;
    // A trust manager has a page of its own, and no mesh.
    if (pageOf(facts, "trustz") !== undefined) continue;
    if (clusters.some(({ cluster }) => cluster === facts.cluster))
      throw new MeshError(
        "invalid",
        `${place} has two clusters called ${facts.cluster}: report them apart, and replay one`,
      );
    clusters.push(await replayedCluster(at, facts, join(stateDir, facts.cluster)));
  }
  if (clusters.length > 0) return clusters;
  throw new MeshError("invalid", `${place} has no cluster that was read: its manifest.json says why`);
}

async function replayedCluster(at: string, facts: ClusterFacts, stateDir: string): Promise<ReplayedCluster> {
  const cluster = clusterId(facts.cluster);
  const said = pageOf(facts, "configz");
  const config: Fields = isFields(said) ? said : {};
  const manifests = (await manifestsIn(at, cluster)) ?? (await observedObjects(at, cluster));
  await copyAddresses(at, stateDir, cluster);
  const flags = {
    ...{ cluster, manifests: [manifests.folder], state: stateDir, cacerts: join(stateDir, "cacerts") },
    ...{ xdsPort: "0", adminPort: "0", healthPort: "0", rootWait: "0", log_output_level: "none" },
  };
  const own = loadConfig(flags, {}, { listenAddress: "127.0.0.1", stateDir });
  const peering = { ...own.peering, ...picked(config["peering"], own.peering, KEPT_OF_PEERING) };
  const replayed = { ...own, ...picked(config, own, KEPT), peering, manifests: [manifests] };
  const ambientz = await ambientzIn(at);
  return { cluster, facts, config: replayed, ambientz, limits: limitsOf(facts, config, manifests, ambientz) };
}

/** Those of a control plane on this machine: its cluster is made of them anew. */
async function manifestsIn(at: string, cluster: ClusterId): Promise<ManifestCluster | undefined> {
  const names = (await readdir(join(at, "manifests")).catch(() => [])).filter((name) => /^\d+$/.test(name)).sort();
  const [folder, ...furtherFolders] = names.map((name) => join(at, "manifests", name));
  if (folder === undefined) return undefined;
  return { cluster, folder, furtherFolders, podCidr: undefined, serviceCidr: undefined };
}

/** The objects of an API server, as they are. */
async function observedObjects(at: string, cluster: ClusterId): Promise<ManifestCluster> {
  const folder = join(at, "replayed");
  await mkdir(folder, { recursive: true });
  for (const name of (await readdir(join(at, "objects")).catch(() => [])).sort())
    if (name.endsWith(".yaml") && !MAKERS.test(name))
      await writeFile(join(folder, name), await readFile(join(at, "objects", name)));
  return { cluster, folder, observed: true, podCidr: undefined, serviceCidr: undefined };
}

/** Who has which address follows from names, but not where two names wanted the same. */
async function copyAddresses(at: string, stateDir: string, cluster: ClusterId): Promise<void> {
  const places = [
    ["addresses.json", join(stateDir, "clusters", cluster, "addresses.json")],
    ["virtual-ips.json", join(stateDir, "virtual-ips.json")],
  ] as const;
  await mkdir(join(stateDir, "clusters", cluster), { recursive: true, mode: 0o700 });
  for (const [name, to] of places) {
    const text = await readFile(join(at, name), "utf8").catch(() => undefined);
    if (text !== undefined) await writeFile(to, text);
  }
}

async function ambientzIn(at: string): Promise<unknown> {
  for (const plane of (await readdir(join(at, "planes")).catch(() => [])).sort()) {
    const text = await readFile(join(at, "planes", plane, "ambientz.json"), "utf8").catch(() => undefined);
    if (text !== undefined) return JSON.parse(text) as unknown;
  }
  return undefined;
}

/** Values that are of the kind that ours has: an archive may be of another version, or of nobody we know. */
function picked<T extends object>(said: unknown, own: T, names: readonly (keyof T & string)[]): Partial<T> {
  if (!isFields(said)) return {};
  const kept = names.filter((name) => name in said && typeof said[name] === typeof own[name]);
  return Object.fromEntries(kept.map((name) => [name, said[name]])) as Partial<T>;
}

function limitsOf(
  facts: ClusterFacts,
  config: Fields,
  manifests: ManifestCluster,
  ambientz: unknown,
): readonly string[] {
  const spire = isFields(config["spire"]) ? config["spire"]["identity"] : undefined;
  const remotes = pageOf(facts, "clusterz");
  const secrets = (Array.isArray(remotes) ? (remotes as readonly unknown[]) : [])
    .filter(isFields)
    .map(({ secretName }) => (typeof secretName === "string" ? secretName : ""))
    .filter((name) => name !== "" && !name.startsWith("Gateway "));
  const unread = [...facts.kinds].flatMap(([kind, known]) => ("objects" in known || known.absent ? [] : [kind]));
  return [
    ...(spire !== undefined && spire !== "mesh"
      ? ["identities are SPIRE's there; here they are our own authority's"]
      : []),
    ...(config["relay"] !== undefined && isFields(config["relay"]) && "manager" in config["relay"]
      ? ["the trust manager is not replayed; what it bounds does not bound here"]
      : []),
    ...secrets.map((name) => `${name} leads to an API server, which is never asked here`),
    ...unread.map((kind) => `${kind} are not in the archive`),
    ...(manifests.observed === true && facts.planes.length === 0
      ? ["the settings of its control plane are not in the archive"]
      : []),
    ...(ambientz === undefined ? ["what it served is not in the archive, so there is nothing to compare with"] : []),
  ];
}
