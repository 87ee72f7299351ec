import { type Command, type CommandCall, type ExitCode, textOption, UsageError } from "../command.ts";
import { type ErrorCode, HalfDoneError, MeshError, messageOf } from "../errors.ts";
import { objectsOf } from "../inspect/cluster-facts.ts";
import { SERVICES } from "../kube/resource-types.ts";
import {
  drilledName,
  type DrilledObject,
  drilledObject,
  type DrillTarget,
  writeDrain,
} from "../linking/drill-objects.ts";
import { exposeSelections } from "../linking/read.ts";
import { nameOf } from "../linking/side.ts";
import { printable } from "../printable.ts";
import { timeOfDrain } from "../registry/drains.ts";
import { DRAIN_UNTIL } from "../registry/kube/peering-annotations.ts";
import { timeLimit } from "../time-limit.ts";
import { CONTEXT_FLAGS } from "./contexts.ts";
import { askDrains, askDrainsHere, drillLength, drillTarget, loneServices } from "./drill-request.ts";
import { watchDrill } from "./drill-watch.ts";
import { LINK_TOOLS, type LinkTools, namespacesOf, type OpenSide, PLACE_FLAGS, withSides } from "./link-tools.ts";
import { OUTPUT_FLAG, print } from "./output.ts";

const SCHEMA = "causeway.dev/drill/v1";
/** For taking a drill back once somebody has stopped waiting for its end. */
const TAKE_BACK_MS = 10_000;
const UNANSWERED: ReadonlySet<ErrorCode> = new Set(["unavailable", "timeout", "internal"]);

/** `causeway multicluster drill`: takes new calls from a peer or a service for a while (contract peering.md 6, row 9). */
export const drillCommand = (tools: LinkTools = LINK_TOOLS): Command => ({
  name: "drill",
  summary: "drain a peer or a service for a limited time, to see that calls go elsewhere",
  args: ["<action>"],
  flags: [
    ...CONTEXT_FLAGS,
    PLACE_FLAGS[1]!,
    { flags: "--peer <cluster>", description: "drain this peer, for callers of the clusters that are named" },
    {
      flags: "--service <name>",
      description: "drain what these clusters have of a service, as shop/cart, for all callers",
    },
    { flags: "--for <time>", description: "how long, as 10m; at most 24h. It ends by itself" },
    {
      flags: "--force",
      description: "start though services would have no ready endpoint elsewhere; those keep their calls",
    },
    { flags: "--watch", description: "print shares each second until the end; Ctrl-C takes the drill back" },
    {
      flags: "--state <folder>",
      description: "a control plane on folders: its drains, or what to write into its manifests by hand",
    },
    OUTPUT_FLAG,
  ],
  examples: [
    "causeway multicluster drill start --context east --peer west --for 10m --watch",
    "causeway multicluster drill start --context east --service shop/cart --for 1h",
    "causeway multicluster drill status --contexts east,west",
    "causeway multicluster drill status --state .causeway/edge",
    "causeway multicluster drill stop --context east --peer west",
  ],
  // Each call of a cluster has a limit of its own, and a drill that is watched takes as long as it was told to.
  endless: true,
  stopMs: TAKE_BACK_MS + 5_000,
  run: (call) => run(tools, call),
});

function run(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const [action = ""] = call.args;
  switch (action) {
    case "start":
      return start(tools, call);
    case "stop":
      return stop(tools, call);
    case "status":
      return status(tools, call);
    default:
      throw new UsageError(`there is no drill "${printable(action, 40)}": give start, stop or status`);
  }
}

interface Drill {
  readonly open: OpenSide;
  readonly object: DrilledObject;
}

async function start(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const { options, printer, signal } = call;
  const target = drillTarget(options);
  const untilMs = Math.ceil((tools.clock.now() + drillLength(options)) / 1000) * 1000;
  if (options["watch"] === true && options["output"] !== "table")
    throw new UsageError("--watch prints lines for people: leave -o away");
  refuseFolders(call, target, `put the annotation ${DRAIN_UNTIL}: ${timeOfDrain(untilMs)} on`);
  return withSides<ExitCode>(tools, call, exposeSelections(namespacesOf(options).system), async (sides) => {
    const drills = await drillsOf(sides, target, signal);
    if (options["force"] !== true && (await refused(call, sides, target))) return 1;
    await begin(tools, drills, timeOfDrain(untilMs), signal);
    const rows = drills.map(({ open, object }) => rowOf(open, drilledName(object), timeOfDrain(untilMs), "started"));
    printRows(call, rows);
    if (options["watch"] !== true) return 0;
    await watchDrill(tools.clock, call, sides, target, untilMs);
    using limit = timeLimit(tools.clock, TAKE_BACK_MS, new AbortController().signal);
    for (const { open, object } of drills) await writeDrain(open.access.api, open.side, object, null, limit.signal);
    printer.out(`${signal.aborted ? "stopped, and taken back" : "over"}: calls go where they went before\n`);
    return 0;
  });
}

const drillsOf = (sides: readonly OpenSide[], target: DrillTarget, signal: AbortSignal): Promise<readonly Drill[]> =>
  Promise.all(
    sides.map(async (open) => ({ open, object: await drilledObject(open.access.api, open.side, target, signal) })),
  );

/** Who reads folders has nobody that an annotation could be written through. */
function refuseFolders({ options }: CommandCall, target: DrillTarget, what: string): void {
  const folder = textOption(options, "state");
  if (folder === undefined) return;
  const object =
    target.kind === "peer"
      ? `the Gateway of class istio-remote that leads to ${target.peer}`
      : `Service ${target.namespace}/${target.name}`;
  throw new MeshError(
    "unavailable",
    `the control plane of ${printable(folder, 200)} reads folders of manifests, which this command does not write: ${what} ` +
      `${object} by hand; it counts at once`,
  );
}

/** Names what would be left without anybody to answer, on all sides. */
async function refused(call: CommandCall, sides: readonly OpenSide[], target: DrillTarget): Promise<boolean> {
  const views = await Promise.all(
    sides.map((open) =>
      askDrains(open, target, call).catch((thrown: unknown) => {
        const why = `${messageOf(thrown)}; so nobody knows who else could take the calls. Nothing was started; --force starts it all the same`;
        throw new MeshError(MeshError.from(thrown).code, why);
      }),
    ),
  );
  const drained = new Set(target.kind === "peer" ? [target.peer] : views.map(({ cluster }) => cluster));
  let found = false;
  for (const [at, view] of views.entries()) {
    const lone = loneServices(view, drained, target.kind);
    const where = nameOf(sides[at]!.side);
    if (target.kind === "service" && view.services.length === 0)
      call.printer.err(
        `${where} knows no global service ${target.namespace}/${target.name}: there is nothing to drain\n`,
      );
    else if (lone.length > 0)
      call.printer.err(
        `${where}: no other ${target.kind === "peer" ? "cluster" : "peer"} has a ready endpoint of ${lone.join(", ")}; --force starts the drill, and those keep their calls\n`,
      );
    else continue;
    found = true;
  }
  if (found) call.printer.err("Nothing was started\n");
  return found;
}

/** All of them or none, also if whoever called gives up half-way. @throws HalfDoneError, saying what was taken back */
async function begin(tools: LinkTools, drills: readonly Drill[], until: string, signal: AbortSignal): Promise<void> {
  for (const [at, { open, object }] of drills.entries()) {
    try {
      await writeDrain(open.access.api, open.side, object, until, signal);
    } catch (thrown) {
      const { code, message } = MeshError.from(thrown);
      // Nobody knows whether a call that got no answer was heard.
      const touched = drills.slice(0, UNANSWERED.has(code) ? at + 1 : at);
      if (touched.length === 0) throw thrown;
      throw new HalfDoneError(code, `${message}; ${await takeBack(tools, touched, until)}`);
    }
  }
}

/** To what was there before. It has its own time: that of the command may be up. */
async function takeBack(tools: LinkTools, drills: readonly Drill[], until: string): Promise<string> {
  using limit = timeLimit(tools.clock, TAKE_BACK_MS, new AbortController().signal);
  const written = await Promise.allSettled(
    drills.map(({ open, object }) =>
      writeDrain(open.access.api, open.side, object, object.until ?? null, limit.signal),
    ),
  );
  const left = drills.filter((_, at) => written[at]!.status === "rejected");
  if (left.length === 0) return `what was begun in ${namesOf(drills)} is taken back`;
  return `what was begun in ${namesOf(left)} may go on until ${until}: end it with causeway multicluster drill stop`;
}

const namesOf = (drills: readonly Drill[]): string => drills.map(({ open }) => nameOf(open.side)).join(", ");

async function stop(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  const { options, signal } = call;
  const target = drillTarget(options);
  refuseFolders(call, target, `take the annotation ${DRAIN_UNTIL} off`);
  return withSides<ExitCode>(tools, call, exposeSelections(namespacesOf(options).system), async (sides) => {
    const drills = await drillsOf(sides, target, signal);
    for (const { open, object } of drills)
      if (object.until !== undefined) await writeDrain(open.access.api, open.side, object, null, signal);
    printRows(
      call,
      drills.map(({ open, object }) =>
        rowOf(open, drilledName(object), object.until ?? "", object.until === undefined ? "not drained" : "stopped"),
      ),
    );
    return 0;
  });
}

async function status(tools: LinkTools, call: CommandCall): Promise<ExitCode> {
  if (textOption(call.options, "state") !== undefined) {
    const { cluster, drains } = await askDrainsHere(call);
    printRows(
      call,
      drains.map((drain) => ({ cluster, context: "", ...drain })),
    );
    return 0;
  }
  const { system } = namespacesOf(call.options);
  return withSides<ExitCode>(tools, call, [...exposeSelections(system), { type: SERVICES }], async (sides) => {
    const rows = await Promise.all(sides.map((open) => statusOf(call, open)));
    printRows(call, rows.flat());
    return 0;
  });
}

async function statusOf(call: CommandCall, open: OpenSide): Promise<readonly Row[]> {
  const { side } = open;
  const found = [...side.remotes.map(({ object }) => object), ...objectsOf(side.facts, SERVICES)].flatMap(
    ({ kind, metadata: { namespace = "", name, annotations } }) => {
      const until = annotations?.[DRAIN_UNTIL];
      return until === undefined ? [] : [{ object: `${kind} ${namespace}/${name}`, until }];
    },
  );
  if (found.length === 0) return [];
  const said = await askDrains(open, undefined, call).catch((thrown: unknown) => {
    call.printer.err(`${messageOf(thrown)}; what becomes of its drains is not known\n`);
    return undefined;
  });
  return found.map(({ object, until }) =>
    rowOf(open, object, until, said?.drains.find((each) => each.object === object)?.state ?? "unknown"),
  );
}

interface Row {
  readonly cluster: string;
  readonly context: string;
  readonly object: string;
  readonly until: string;
  readonly state: string;
}

const rowOf = ({ side }: OpenSide, object: string, until: string, state: string): Row => ({
  cluster: side.cluster ?? "",
  context: side.context,
  object,
  until,
  state,
});

function printRows(call: CommandCall, drains: readonly Row[]): void {
  if (drains.length === 0 && call.options["output"] === "table") call.printer.out("nothing is drained\n");
  else
    print(call, { schema: SCHEMA, drains }, ["CLUSTER", "OBJECT", "UNTIL", "STATE"], () =>
      drains.map(({ cluster, context, object, until, state }) => [cluster || context, object, until, state]),
    );
}
