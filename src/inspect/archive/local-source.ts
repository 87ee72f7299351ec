import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { isFields } from "../../kube/fields.ts";
import { type ClusterFacts, pageOf } from "../cluster-facts.ts";
import { type LocalPlane, OBJECTS_PAGE, readLocalCluster } from "../local-cluster.ts";
import { manifestPieces } from "./manifest-pieces.ts";
import { type PlaneAsked, planePieces } from "./plane-pages.ts";
import type { GatheringOptions, Piece, ReportSource } from "./report-source.ts";

const NO_LOG =
  "a control plane that runs on this machine writes its log to where it was started; add what it said there";

type Fields = Readonly<Record<string, unknown>>;

/** A control plane on this machine, whose cluster is folders of manifests. */
export function localSource(plane: LocalPlane): ReportSource {
  const asked = (signal: AbortSignal): PlaneAsked => ({ clock: plane.clock, signal, ask: plane.ask });
  return {
    title: plane.title,
    facts: ({ signal, progress }) => (progress(`reading ${plane.title}`), readLocalCluster(plane, "all", signal)),
    async *pieces(facts, { signal }: GatheringOptions) {
      if (facts.unread !== undefined) return;
      const [known] = facts.planes;
      yield* planePieces(
        asked(signal),
        `planes/${known!.pod.replace("/", "_")}`,
        new Set([...known!.pages.keys(), OBJECTS_PAGE]),
      );
      const config = configOf(facts);
      for (const [at, { folders }] of manifestsOf(config).entries())
        for (const [which, folder] of folders.entries())
          yield* manifestPieces(folder, at === 0 ? `manifests/${which}` : `manifests/other-${at}/${which}`);
      yield* addressPieces(config, facts.cluster);
      yield { path: "logs", why: NO_LOG };
    },
    plan: (facts) => [
      ...facts.planes.map(({ pod }) => `every debug page, the metrics and the version of ${pod}`),
      ...manifestsOf(configOf(facts)).flatMap(({ folders }) => folders.map((folder) => `the manifests in ${folder}`)),
    ],
    close: () => Promise.resolve(),
  };
}

/** Which pod has which address: with it, a replay has the same ones. */
async function* addressPieces(config: Fields, cluster: string): AsyncIterable<Piece> {
  const stateDir = text(config["stateDir"]);
  if (stateDir === undefined) return;
  for (const [file, path] of [
    ["addresses.json", join(stateDir, "clusters", cluster, "addresses.json")],
    ["virtual-ips.json", join(stateDir, "virtual-ips.json")],
  ] as const)
    try {
      yield { path: file, text: await readFile(path, "utf8") };
    } catch (thrown) {
      // One without such names keeps no such file.
      const absent = thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
      if (!absent) yield { path: file, why: messageOf(thrown) };
    }
}

function configOf(facts: ClusterFacts): Fields {
  const config = pageOf(facts, "configz");
  return isFields(config) ? config : {};
}

function manifestsOf(config: Fields): readonly { readonly folders: readonly string[] }[] {
  const manifests = Array.isArray(config["manifests"]) ? (config["manifests"] as readonly unknown[]) : [];
  return manifests.filter(isFields).map(({ folder, furtherFolders }) => ({
    folders: [folder, ...(Array.isArray(furtherFolders) ? (furtherFolders as readonly unknown[]) : [])].filter(
      (each): each is string => typeof each === "string",
    ),
  }));
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
