import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type CommandCall, listOption } from "../command.ts";
import type { Clock } from "../host.ts";
import type { LocalPlane } from "../inspect/local-cluster.ts";
import { checkedAdminUrl, fetchText } from "./admin-client.ts";
import { type Connection, readConnection } from "./connection.ts";

/**
 * The control planes on this machine that `--state` and `--admin` name, each once.
 * @throws UsageError for what is no URL, MeshError for a folder in which no control plane left how to reach it.
 */
export async function localPlanes(clock: Clock, { options }: CommandCall): Promise<readonly LocalPlane[]> {
  const byUrl = new Map<string, string | undefined>();
  for (const url of listOption(options, "admin")) byUrl.set(new URL(checkedAdminUrl("--admin", url)).origin, undefined);
  for (const state of listOption(options, "state"))
    for (const { admin, cluster } of await connectionsIn(state)) byUrl.set(admin, cluster);
  return Array.from(byUrl, ([base, cluster]) => ({
    ...{ title: `control plane ${base}`, cluster, clock },
    ask: (path: string, signal: AbortSignal) => fetchText(base, path, signal),
  }));
}

/** Of a state folder, or of a folder of them, as the demo has. */
async function connectionsIn(state: string): Promise<readonly Pick<Connection, "admin" | "cluster">[]> {
  const own = await readConnection(state).catch((thrown: unknown) => thrown);
  if (!(own instanceof Error)) return [own as Connection];
  const entries = await readdir(state, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(state, name));
  const found = await Promise.all(folders.map((folder) => readConnection(folder).catch(() => undefined)));
  const connections = found.flatMap((connection) => connection ?? []);
  if (connections.length > 0) return connections;
  throw own;
}
