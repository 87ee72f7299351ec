import { type CommandCall, type Flag, listOption, type Options, textOption, UsageError } from "../command.ts";
import type { GivenAddress, LinkOptions } from "../linking/pairs.ts";
import { allPairs } from "../linking/pairs.ts";
import type { Pair, Side } from "../linking/side.ts";
import { namedContexts } from "./contexts.ts";
import { namespacesOf, serviceTypeOption } from "./link-tools.ts";

export const DIRECTION_FLAGS: readonly Flag[] = [
  { flags: "--from <context>", description: "who calls; with --to, instead of --contexts", repeated: true },
  { flags: "--to <context>", description: "who is called", repeated: true },
  { flags: "--one-way", description: "from --from to --to only, and not back" },
];

export const LINK_FLAGS: readonly Flag[] = [
  {
    flags: "--address <context=host[:port[:port]]>",
    description: "where that cluster is reached, as behind NAT, with its ports for xDS and HBONE; may be repeated",
    repeated: true,
  },
  {
    flags: "--locality <context=region[/zone]>",
    description: "where all that a cluster has is; by default each says it itself; may be repeated",
    repeated: true,
  },
  {
    flags: "--service-type <type>",
    description: "how peers are reached; by default as each offers",
    choices: ["loadbalancer", "nodeport"],
  },
  { flags: "--flat", description: "clusters may share one network, on which their pods reach each other" },
];

/** Which contexts are called, and which of them reads which. */
export interface Directions {
  /** The call with all contexts by name, as `openContexts` takes them. */
  readonly call: CommandCall;
  pairs(sides: readonly Side[]): readonly Pair[];
}

export function directionsOf(call: CommandCall): Directions {
  const { options } = call;
  const [from, to] = [contextsIn(options, "from"), contextsIn(options, "to")];
  const oneWay = options["oneWay"] === true;
  if (from.length === 0 && to.length === 0) {
    const named = namedContexts(call);
    if (oneWay)
      throw new UsageError("--one-way has a direction: name who calls with --from, and who is called with --to");
    if (named.length < 2)
      throw new UsageError("it takes two clusters: name their contexts with --contexts a,b, or with --from a --to b");
    return { call, pairs: allPairs };
  }
  if (from.length === 0 || to.length === 0) throw new UsageError("--from and --to belong together: give both");
  if (listOption(options, "contexts").length > 0 || textOption(options, "context") !== undefined)
    throw new UsageError("--contexts links all that it names, so it has no --from and --to: leave one of the two out");
  const both = from.find((context) => to.includes(context));
  if (both !== undefined) throw new UsageError(`--from and --to both name ${both}: no cluster is a peer of itself`);
  const contexts = [...new Set([...from, ...to])];
  return {
    call: { ...call, options: { ...options, contexts } },
    pairs(sides) {
      const named = (contexts: readonly string[]): readonly Side[] =>
        sides.filter(({ context }) => contexts.includes(context));
      const there = named(from).flatMap((reader) => named(to).map((peer) => ({ reader, peer, mutual: !oneWay })));
      return oneWay
        ? there
        : [...there, ...there.map(({ reader, peer }) => ({ reader: peer, peer: reader, mutual: true }))];
    },
  };
}

const contextsIn = (options: Options, name: string): readonly string[] =>
  listOption(options, name)
    .flatMap((list) => list.split(","))
    .map((context) => context.trim())
    .filter((context) => context !== "");

export function linkOptions(options: Options, contexts: readonly string[]): LinkOptions {
  const known = (flag: string, [context, value]: readonly [string, string]): readonly [string, string] => {
    if (contexts.includes(context)) return [context, value];
    throw new UsageError(`${flag} names context "${context}", which is none of ${contexts.join(", ")}`);
  };
  const given = (name: string, flag: string): readonly (readonly [string, string])[] =>
    listOption(options, name).map((text) => known(flag, assigned(flag, text)));
  return {
    namespace: namespacesOf(options).namespace,
    via: serviceTypeOption(options),
    addresses: new Map(given("address", "--address").map(([context, text]) => [context, addressOf(text)])),
    localities: new Map(given("locality", "--locality").map(([context, text]) => [context, localityOf(text)])),
    flat: options["flat"] === true,
  };
}

/** Contexts may have nearly anything in their names, and what is assigned here has no equals sign. */
function assigned(flag: string, text: string): readonly [string, string] {
  const at = text.lastIndexOf("=");
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new UsageError(`${flag} is "${text}": give <context>=<value>`);
}

const HOST =
  /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?))(?::([0-9]{1,5}))?(?::([0-9]{1,5}))?$/;

/** An IPv6 address stands in brackets, as in URLs. */
function addressOf(text: string): GivenAddress {
  const [, inBrackets, name, xds, hbone] = HOST.exec(text) ?? [];
  const host = inBrackets ?? name;
  const ports = [xds, hbone].map((port) => (port === undefined ? undefined : Number(port)));
  if (host === undefined || ports.some((port) => port !== undefined && (port < 1 || port > 65_535)))
    throw new UsageError(
      `--address says "${text}": give host, host:port or host:port:port, as gw.example:30016:30015 or [2001:db8::1]:15012`,
    );
  return { host: host.toLowerCase(), xdsPort: ports[0], hbonePort: ports[1] };
}

function localityOf(text: string): { readonly region: string; readonly zone: string | undefined } {
  const [, region, zone] =
    /^([A-Za-z0-9][A-Za-z0-9._-]{0,62})(?:\/([A-Za-z0-9][A-Za-z0-9._-]{0,62}))?$/.exec(text) ?? [];
  if (region !== undefined) return { region, zone };
  throw new UsageError(`--locality says "${text}": give region or region/zone, as eu-west-1/eu-west-1a`);
}
