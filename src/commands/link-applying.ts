import type { CommandCall } from "../command.ts";
import type { Finding } from "../inspect/finding.ts";
import { carryOut, plannedChanges, type Wish } from "../linking/applying.ts";
import { manifestsYaml } from "../linking/exposure.ts";
import { type Awaited, waitForAll } from "../linking/waiting.ts";
import { changeLine, type LinkTools, ownershipOf } from "./link-tools.ts";

/** Says what is in the way, or else what should be known. @returns true if nothing may be done. */
export function isRefused({ printer }: CommandCall, findings: readonly Finding[]): boolean {
  const errors = findings.filter(({ level }) => level === "error");
  const said = errors.length > 0 ? errors : findings.filter(({ level }) => level === "warning" || level === "info");
  for (const text of new Set(said.map(sentenceOf))) printer.err(text);
  if (errors.length > 0) printer.err("Nothing was changed, in no cluster.\n");
  return errors.length > 0;
}

const sentenceOf = ({ code, evidence, fix }: Finding): string =>
  `${code}: ${evidence}.${fix === "" ? "" : ` Fix: ${fix}`}\n`;

/** Prints, or applies: asks every cluster first what it would make of it, and then has each object made. */
export async function makeLinks(call: CommandCall, wishes: readonly Wish[]): Promise<void> {
  const { options, printer, progress, signal } = call;
  if (options["generate"] === true) {
    for (const { where, manifests } of wishes) printer.out(manifestsYaml(manifests, [`for ${where}`]));
    return;
  }
  const ownership = ownershipOf(options);
  progress("asking each cluster what would change");
  const planned = await plannedChanges(wishes, ownership, signal);
  for (const each of planned) if (each.change.action === "keep") printer.out(changeLine(each, false));
  await carryOut(planned, ownership, (done) => printer.out(changeLine(done, false)), signal);
}

/** With `--wait`, until each Gateway of `wishes` is connected, and has read its peer. */
export async function awaitLinks({ clock }: LinkTools, call: CommandCall, wishes: readonly Wish[]): Promise<void> {
  const { options, printer, progress, signal } = call;
  if (options["wait"] !== true || options["generate"] === true) return;
  const conditions = ["PeerConnected", "PeeringSucceeded"];
  const all = wishes.flatMap(({ api, where, manifests }) =>
    manifests.flatMap(({ kind, metadata: { namespace = "", name } }): readonly Awaited[] =>
      kind === "Gateway" ? [{ api, where, namespace, name, conditions, address: false }] : [],
    ),
  );
  progress(`waiting for ${all.length === 1 ? "a link" : `${all.length} links`}`);
  const connected = ({ where, namespace, name }: Awaited): void =>
    printer.out(`${where}: Gateway ${namespace}/${name} is connected, and has read all of its peer\n`);
  await waitForAll(clock, all, connected, (text) => printer.err(text), signal);
}
