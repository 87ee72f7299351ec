import { type Command, type CommandCall, type ExitCode, listOption, UsageError } from "../command.ts";
import type { Clock } from "../host.ts";
import { diffService, type ServiceDiff, serviceNamed } from "../inspect/diff/service-diff.ts";
import {
  SYSTEM_NAMESPACE_FLAG,
  readSources,
  sayUnread,
  SOURCE_FLAGS,
  sourceTools,
  systemNamespaceOf,
} from "./cluster-sources.ts";
import { namedContexts } from "./contexts.ts";
import { OUTPUT_FLAG, print } from "./output.ts";

/** `causeway multicluster diff`: one service, as each cluster has it. */
export const diffCommand = (clock: Clock): Command => ({
  name: "diff",
  summary: "show in what clusters differ about one service",
  args: ["<service>"],
  flags: [
    ...SOURCE_FLAGS,
    SYSTEM_NAMESPACE_FLAG,
    { flags: "--all", description: "also show what they agree on" },
    OUTPUT_FLAG,
  ],
  examples: [
    "causeway multicluster diff shop/cart --contexts east,west",
    "causeway multicluster diff cart.shop.mesh.internal --directory ./east --directory ./west --all",
  ],
  run: (call) => run(clock, call),
});

function agreement({ service, clusters, without }: ServiceDiff): string {
  const having = clusters.filter((cluster) => !without.includes(cluster));
  const alone = having.length === 1;
  const lack = without.length === 0 ? "" : `; ${without.join(", ")} ${without.length === 1 ? "has" : "have"} none`;
  const said = alone ? `only ${having[0]} has Service ${service}` : `${having.join(", ")} agree on Service ${service}`;
  return `${said}${lack}; --all shows ${alone ? "it" : "on what"}\n`;
}

/** 1 if they differ in what callers notice; 2 if a cluster could not be read, as nobody knows then. */
async function run(clock: Clock, call: CommandCall): Promise<ExitCode> {
  const [service = ""] = call.args;
  requireCall(call, service);
  const facts = await readSources(sourceTools(clock), call);
  call.signal.throwIfAborted();
  if (sayUnread(call, facts)) return 2;
  const diff = diffService(service, facts, { systemNamespace: systemNamespaceOf(call) });
  const shown = diff.rows.filter(({ differs }) => differs || call.options["all"] === true);
  const document = { schema: "causeway.dev/diff/v1", ...diff, rows: shown };
  if (shown.length === 0 && call.options["output"] === "table") call.printer.out(agreement(diff));
  else
    print(call, document, ["", ...diff.clusters], () =>
      shown.map(({ aspect, values, differs, matters }) => [`${differs && matters ? "! " : "  "}${aspect}`, ...values]),
    );
  return diff.rows.some(({ differs, matters }) => differs && matters) ? 1 : 0;
}

/** Before any cluster is asked. @throws UsageError */
function requireCall(call: CommandCall, service: string): void {
  serviceNamed(service);
  // A folder may hold several clusters, and so may that of the demo's state.
  const named = ["directory", "state", "admin"].flatMap((name) => listOption(call.options, name));
  if (named.length === 0 && namedContexts(call).length < 2)
    throw new UsageError("a difference takes two clusters: name them, as --contexts east,west, or with --directory");
}
