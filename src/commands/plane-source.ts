import { type CommandCall, type Flag, textOption, UsageError } from "../command.ts";
import { MeshError } from "../errors.ts";
import { pageOf } from "../inspect/cluster-facts.ts";
import { namedFolder, readClusterFolder } from "../inspect/cluster-folders.ts";
import { fetchAdmin, PLANE_FLAGS } from "./admin-client.ts";

/** Flags of commands that show what one control plane says, or said when a bug report was made. */
export const PLANE_OR_REPORT_FLAGS: readonly Flag[] = [
  ...PLANE_FLAGS,
  {
    flags: "--directory <folder>",
    description: "a bug report instead, as ./report; if it holds several clusters, one of them, as east=./report",
  },
];

/** A page as it is asked for, and under which names a report may hold it; none if it is no answer to this question. */
export interface AskedPage {
  readonly path: string;
  readonly archived: readonly string[];
  /** Why a report has no answer, and what to do; for where `archived` is empty. */
  readonly unarchived?: string;
}

/** @throws UsageError if several places are named, or a report of several clusters and none of them; MeshError as `fetchAdmin` does. */
export async function askPlane(call: CommandCall, page: AskedPage): Promise<unknown> {
  return (await archivedAnswer(call, page)) ?? fetchAdmin(call, page.path);
}

/** Undefined if no report is named. @throws as `askPlane` does. */
export async function archivedAnswer({ options }: CommandCall, page: AskedPage): Promise<unknown> {
  const directory = textOption(options, "directory");
  if (directory === undefined) return undefined;
  const other = ["admin", "state", "contexts", "context", "kubeconfig"].find((name) => options[name] !== undefined);
  if (other !== undefined)
    throw new UsageError(`--${other} says where to ask, and --directory where to read: give one of them`);
  if (page.archived.length === 0) throw new UsageError(page.unarchived ?? "a bug report has no answer to this");
  return archivedPage(directory, page.archived);
}

async function archivedPage(directory: string, names: readonly string[]): Promise<unknown> {
  const named = namedFolder(directory);
  const [facts, ...more] = await readClusterFolder(named);
  if (more.length > 0) {
    const clusters = [facts!, ...more].map(({ cluster }) => cluster);
    throw new UsageError(
      `${named.folder} holds ${clusters.length} clusters (${clusters.join(", ")}), and what this shows is one cluster's: name it, as --directory ${clusters[0]}=${named.folder}`,
    );
  }
  if (facts!.planes.length === 0)
    throw new MeshError(
      "absent",
      `${named.folder} has no page of a control plane: name a bug report, or a control plane that runs, with --state or --context`,
    );
  for (const name of names) {
    const page = pageOf(facts!, name);
    if (page !== undefined) return page;
  }
  throw new MeshError(
    "absent",
    `the control plane of ${facts!.cluster} said nothing of ${names[0]} when ${named.folder} was made`,
  );
}
