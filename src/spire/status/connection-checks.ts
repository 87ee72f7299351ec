import { formatDuration } from "../../duration.ts";
import type { EpochMs } from "../../host.ts";
import type { IdentityMode } from "../../spire-config.ts";
import type { AgentStatus } from "../agent-api.ts";
import { LINE, type RightStatus, type ServerStatus } from "../calls.ts";
import { countOf, fail, ok, type SpireCheck, unknown, warn } from "./check.ts";
import type { SpireFacts } from "./facts.ts";

const SIGNS: Readonly<Record<IdentityMode, string>> = {
  mesh: "our own authority signs for workloads, and not SPIRE",
  spire: "SPIRE's server signs for workloads, request by request, where a registration entry holds",
  "spire-downstream": "a key of ours that SPIRE vouches for signs for workloads",
  external: "nobody here signs for workloads: SPIRE's agents hand identities out",
};

/** The server is asked for its bundle every 5 s. */
const SILENT_MS = 60_000;

/** How we and SPIRE reach each other, and what it lets us do. */
export function connectionChecks(facts: SpireFacts): readonly SpireCheck[] {
  const { mode, server, agent, now } = facts;
  return [
    ok("mode", `${mode}: ${SIGNS[mode]}`),
    ...(server === undefined ? [] : [serverCheck(server, now, mode)]),
    ...(agent === undefined ? [] : [agentCheck(agent, now)]),
    // Over its socket the server does not ask who we are.
    ...(agent === undefined || server === undefined ? [] : [ownCheck(facts)]),
    ...(server !== undefined && (mode === "spire" || facts.census !== undefined) ? [adminCheck(server, now)] : []),
    ...(mode === "spire-downstream" ? [authorityCheck(facts)] : []),
  ];
}

function serverCheck(status: ServerStatus, now: EpochMs, mode: IdentityMode): SpireCheck {
  const { server, connected, error = "", answeredAt, inFlight, waiting } = status;
  const calls = `${countOf(inFlight, "call")} in flight, ${waiting} waiting`;
  if (connected === undefined)
    return unknown("server", `${server} has not answered yet; ${calls}`, "ask again in a minute");
  const silentMs = answeredAt === undefined ? undefined : now - answeredAt;
  const since = silentMs === undefined ? "never since our start" : `last ${formatDuration(silentMs)} ago`;
  if (connected === false) return fail("server", `${error}; it answered ${since}; ${calls}`, WHAT_STANDS);
  const evidence = `${server} answers, ${since}; ${calls}`;
  // In mode mesh it is asked for entries alone, once a minute.
  if (mode !== "mesh" && (silentMs === undefined || silentMs > SILENT_MS))
    return warn("server", `${server} is slow: it answered ${since}; ${calls}`, SLOW);
  return waiting > LINE.atOnceMax ? warn("server", evidence, SLOW) : ok("server", evidence);
}

const WHAT_STANDS =
  "see that SPIRE's server runs, that its address is right in --spire-server, and over TCP the identity check; until it " +
  "answers nobody gets a new identity, and those that were issued are good until they end";
const SLOW =
  "see the load of SPIRE's server, its database, and its health check server.ca; a server that answers GetBundle and " +
  "signs no more has to be restarted";

function agentCheck({ agent, connected, error = "", saidAt }: AgentStatus, now: EpochMs): SpireCheck {
  const said = saidAt === undefined ? "nothing yet" : `something last ${formatDuration(now - saidAt)} ago`;
  if (connected) return ok("agent", `${agent} is followed; it said ${said}`);
  if (error === "") return unknown("agent", `${agent} has not answered yet`, "ask again in some seconds");
  return fail("agent", `${error}; it said ${said}`, AGENT_FIX);
}

const AGENT_FIX =
  "see that SPIRE's agent runs on our node, that --spire-agent names its socket and the folder of that is mounted, and " +
  "that a registration entry with that agent as its parent has selectors of our pod";

function ownCheck({ own, now }: SpireFacts): SpireCheck {
  if (own === undefined) return fail("identity", "SPIRE's agent has given us no SVID to show its server", AGENT_FIX);
  const { spiffeId, notBefore, notAfter } = own;
  const left = notAfter - now;
  const until = `until ${timeOf(notAfter)}`;
  if (left <= 0) return fail("identity", `our SVID ${spiffeId} was good ${until}`, RENEW_OWN);
  const evidence = `we are ${spiffeId} ${until}, in ${formatDuration(left)}`;
  // Agents renew at half of its life.
  return left < (notAfter - notBefore) / 4 ? warn("identity", evidence, RENEW_OWN) : ok("identity", evidence);
}

const RENEW_OWN =
  "see why SPIRE's agent has not renewed it at half of its life: its log, and whether it reaches its server";

function adminCheck({ rights, spiffeId, server }: ServerStatus, now: EpochMs): SpireCheck {
  const known = [...rights].filter(([, { role }]) => role === "admin").sort(([, a], [, b]) => b.at - a.at);
  const [last] = known;
  if (last === undefined)
    return unknown("may sign", "the server has answered nothing yet that needs an administrator", COUNT_SOON);
  const fix = spiffeId === undefined ? POLICY : adminFix(spiffeId, server);
  const ago = ({ at }: RightStatus): string => `${formatDuration(now - at)} ago`;
  if (last[1].denied !== undefined) return fail("may sign", `${last[1].denied} (${ago(last[1])})`, fix);
  const who = spiffeId === undefined ? "over its socket we are SPIRE's operator" : `${spiffeId} is an administrator`;
  const may = known.filter(([, { denied }]) => denied === undefined).map(([name]) => name);
  const evidence = `${who}: it let us call ${may.join(", ")}, last ${ago(last[1])}`;
  // What is narrowed is refused again when it is called again; a right that is back shows then, too.
  const refused = known.find(([, { denied }]) => denied !== undefined);
  return refused === undefined
    ? ok("may sign", evidence)
    : warn("may sign", `${evidence}; before that it refused ${refused[0]}, ${ago(refused[1])}`, fix);
}

const COUNT_SOON = "ask again in a minute";
const POLICY = "let callers of the server's socket do what they do by default: look at its auth_opa_policy_engine";
const adminFix = (spiffeId: string, server: string): string =>
  `at ${server}: give the entry of ${spiffeId} admin: true (spire-server entry update -admin), or name it in admin_ids`;

function authorityCheck({ authority, now, server }: SpireFacts): SpireCheck {
  const { notAfter, faults = [] } = authority ?? {};
  const words = faults.map(({ message }) => message).join(" ");
  const denied = [...(server?.rights.values() ?? [])].some(({ role, denied: why }) => role === "downstream" && why);
  const fix = denied ? downstreamFix(server?.spiffeId) : AUTHORITY_FIX;
  if (notAfter === undefined || notAfter <= now || faults.some(({ severity }) => severity === "error"))
    return fail("authority", words || "SPIRE has given us no authority yet: nobody gets a certificate", fix);
  const evidence = `SPIRE's authority for us signs until ${timeOf(notAfter)}, in ${formatDuration(notAfter - now)}`;
  return faults.length > 0 ? warn("authority", `${evidence}. ${words}`, fix) : ok("authority", evidence);
}

const AUTHORITY_FIX =
  "if the server and identity checks fail, mend those; else it is what is said above. SPIRE is asked again by itself";
const downstreamFix = (spiffeId = "our identity"): string =>
  `give the entry of ${spiffeId} downstream: true (spire-server entry update -downstream)`;

export const timeOf = (time: EpochMs): string => new Date(time).toISOString().replace(/\.\d+/, "");
