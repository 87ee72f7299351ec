import type { Environment, Options } from "./command.ts";
import { given, type Given, refuse, type Setting, setting, truthOf } from "./settings.ts";

/** Registration entries that we make for pods, where no controller of SPIRE's does (contract identity.md 1.5). */
export interface SpireRegisterConfig {
  /** Undefined if we make none; else those that are built in, or the path of a file of ClusterSPIFFEIDs. */
  readonly templates: "built-in" | { readonly file: string } | undefined;
  /** Also where a controller does. */
  readonly besideController: boolean;
  /** 0 to 1: which share of our entries may be removed at once. */
  readonly removalShare: number;
}

export const SPIRE_REGISTER_SETTINGS = {
  register: setting(
    "--spire-register <which>",
    "entries for pods: off, on, or a file of ClusterSPIFFEIDs; off by default",
    "SPIRE_REGISTER",
  ),
  beside: setting(
    "--spire-register-beside-controller <switch>",
    "on: also where SPIRE's controller makes entries; off by default",
    "SPIRE_REGISTER_BESIDE_CONTROLLER",
  ),
  // A mistake that ends fewer identities than this shows in time to be stopped.
  removals: setting(
    "--spire-register-removals <percent>",
    "how many of our entries may be removed at once; 30 by default, 100 for all",
    "SPIRE_REGISTER_REMOVALS",
  ),
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError */
export function loadSpireRegisterConfig(options: Options, environment: Environment): SpireRegisterConfig {
  const read = <T>(name: keyof typeof SPIRE_REGISTER_SETTINGS, parse: (value: Given) => T, otherwise: T): T => {
    const value = given(SPIRE_REGISTER_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  return {
    templates: read("register", templatesOf, undefined),
    besideController: read("beside", switchOf, false),
    removalShare: read("removals", shareOf, 0.3),
  };
}

function templatesOf(value: Given): SpireRegisterConfig["templates"] {
  const { text } = value;
  if (/^(on|1|t|true)$/i.test(text)) return "built-in";
  if (/^(off|0|f|false)$/i.test(text)) return undefined;
  // A word that is misspelt must not be looked for as a file.
  if (/[/.]/.test(text) && !text.includes("\0")) return { file: text };
  return refuse(value, "use off, on, or a file of ClusterSPIFFEIDs, as ./entries.yaml");
}

const switchOf = (value: Given): boolean =>
  value.text === "on" ? true : value.text === "off" ? false : truthOf(value);

function shareOf(value: Given): number {
  const percent = /^[0-9]{1,3}$/.test(value.text) ? Number(value.text) : 101;
  return percent <= 100 ? percent / 100 : refuse(value, "give a number from 0 to 100");
}
