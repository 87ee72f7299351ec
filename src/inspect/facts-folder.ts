import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import { readArchivedCluster } from "./archived-cluster.ts";
import type { ClusterFacts, KindFacts, PlaneFacts } from "./cluster-facts.ts";
import { isTrustManager } from "./local-cluster.ts";
import { readManifestFolder } from "./manifest-facts.ts";

const CLUSTERS = "clusters";
export const CLUSTER_FILE = "cluster.json";
export const FACTS_SCHEMA = "causeway.dev/facts/v1";

/**
 * Writes the facts of clusters into `folder`, one folder for each in its `clusters`: what `readFacts` reads is the same
 * again. Nothing that is there is removed.
 * @returns for each cluster the folder that it is in, relative to `folder`.
 * @throws MeshError `unavailable`, naming the folder.
 */
export async function writeFacts(folder: string, clusters: readonly ClusterFacts[]): Promise<readonly string[]> {
  const names = folderNames(clusters.map(({ cluster }) => cluster));
  const places = names.map((name) => `${CLUSTERS}/${name}`);
  try {
    for (const [at, facts] of clusters.entries()) await writeCluster(join(folder, places[at]!), facts);
  } catch (thrown) {
    throw new MeshError("unavailable", `what was read cannot be written to ${folder}: ${messageOf(thrown)}`);
  }
  return places;
}

/**
 * Reads an archive with all its clusters, also if it is all that the folder holds, one cluster's folder of it, or a folder of
 * manifests, as `kubectl get -o yaml` prints them, which is one cluster.
 * @throws MeshError `absent` or `invalid`, naming the folder, if there is no such folder, or nothing of a cluster in it.
 */
export async function readFacts(folder: string): Promise<readonly ClusterFacts[]> {
  if (await exists(join(folder, CLUSTER_FILE))) return [await readArchivedCluster(folder)];
  const archived = await archivedIn(folder);
  if (archived.length > 0) {
    const all = await Promise.all(archived.map(readArchivedCluster));
    const clusters = all.filter((facts) => !isTrustManager(facts));
    return clusters.length > 0 ? clusters : all;
  }
  const inner = await onlyFolderIn(folder);
  if (inner !== undefined && (await archivedIn(inner)).length > 0) return readFacts(inner);
  return [await readManifestFolder(folder)];
}

/** The folders of an archive's clusters; none if it is no archive. */
async function archivedIn(folder: string): Promise<readonly string[]> {
  const places = (await foldersIn(join(folder, CLUSTERS))).map((name) => join(folder, CLUSTERS, name));
  const found = await Promise.all(places.map((place) => exists(join(place, CLUSTER_FILE))));
  return places.filter((_, at) => found[at]);
}

/** An archive has all that is in it in one folder, and who unpacks it into a folder may name that one. */
async function onlyFolderIn(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => []);
  return names.length === 1 ? join(folder, names[0]!) : undefined;
}

async function writeCluster(place: string, facts: ClusterFacts): Promise<void> {
  await mkdir(join(place, "objects"), { recursive: true });
  const { cluster, context, source, readAt, measured, unread, refused, files } = facts;
  const head = {
    ...{ schema: FACTS_SCHEMA, cluster, context, source, readAt: new Date(readAt).toISOString(), measured },
    ...{ unreadKinds: unreadKinds(facts), unreadPages: unreadPages(facts.planes) },
    ...{ unread, refused, declared: files?.declared, embedded: files?.embedded },
  };
  await writeFile(join(place, CLUSTER_FILE), `${JSON.stringify(head, undefined, 2)}\n`);
  for (const [kind, known] of facts.kinds)
    if ("objects" in known) await writeFile(join(place, "objects", `${kind}.yaml`), listText(known));
  for (const plane of facts.planes) await writePlane(join(place, "planes", plane.pod.replace("/", "_")), plane);
}

/** JSON is YAML, too; an object on each line can be searched, compared, and read in no time. */
function listText({ objects }: KindFacts & { readonly objects: readonly unknown[] }): string {
  const items = objects.map((object) => JSON.stringify(object)).join(",\n");
  return `{"apiVersion":"v1","kind":"List","items":[\n${items}\n]}\n`;
}

async function writePlane(place: string, { pages }: PlaneFacts): Promise<void> {
  await mkdir(place, { recursive: true });
  for (const [name, page] of pages)
    if ("body" in page) await writeFile(join(place, `${name}.json`), `${JSON.stringify(page.body, undefined, 1)}\n`);
}

const unreadKinds = ({ kinds }: ClusterFacts): unknown =>
  Object.fromEntries([...kinds].filter(([, known]) => !("objects" in known)));

const unreadPages = (planes: readonly PlaneFacts[]): unknown =>
  Object.fromEntries(
    planes.map(({ pod, pages }) => [
      pod,
      Object.fromEntries(
        [...pages].flatMap(([name, page]) => ("why" in page ? [[name, page.denied === true ? page : page.why]] : [])),
      ),
    ]),
  );

/** Names of contexts may be paths, and two clusters may say that they are the same. */
function folderNames(clusters: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return clusters.map((cluster) => {
    const name = cluster.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "_") || "cluster";
    let free = name;
    for (let count = 2; taken.has(free.toLowerCase()); count += 1) free = `${name}_${count}`;
    taken.add(free.toLowerCase());
    return free;
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

async function foldersIn(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}
