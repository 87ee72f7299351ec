import { isDeepStrictEqual } from "node:util";
import type { MeshConfigMaps } from "../../cluster-config.ts";
import type { Logger } from "../../host.ts";
import type { KubeObject, ObjectReference, ObjectSink } from "../../kube/object.ts";
import type { Problem } from "../model/problem.ts";
import { effectiveMesh, type EffectiveMesh, type MeshDefaults } from "./effective-mesh.ts";
import { FieldError } from "./fields.ts";
import { type DeclaredMesh, meshOf, type MeshConfigReading, readMeshConfig } from "./mesh-config.ts";

/** One ConfigMap, as far as it is known. */
interface Layer {
  readonly name: string;
  /** Undefined until it is known to be absent, or could be read once. */
  settled: "absent" | MeshConfigReading | undefined;
  /** Why what is there now is not what holds. */
  fault: Fault | undefined;
}

type Fault = Pick<Problem, "field" | "message" | "severity">;

export interface MeshConfigFollowerOptions {
  /** Of the system namespace, from which the sink may be given all ConfigMaps. */
  readonly maps: MeshConfigMaps;
  readonly defaults: MeshDefaults;
  /** Called with each new value, the first included; never for one that says the same. */
  readonly onChange: (mesh: EffectiveMesh) => void;
  /** Called after `problems` may have changed. */
  readonly onProblems: () => void;
}

/**
 * What the mesh config is, while its ConfigMaps change. Each keeps its last good content for as long as it cannot be
 * read, and after it was deleted: nobody removes a mesh's config and means the defaults. What identities hang on stays as
 * it was at the start. Contract operations.md 4.4 no. 29.
 */
export class MeshConfigFollower implements ObjectSink {
  readonly #log: Logger;
  readonly #options: MeshConfigFollowerOptions;
  /** The shared one, if any, and over it the own one. */
  readonly #layers: readonly Layer[];
  #mesh: EffectiveMesh | undefined;
  #declared: DeclaredMesh | undefined;
  #noted = "";

  constructor(log: Logger, options: MeshConfigFollowerOptions) {
    this.#log = log;
    this.#options = options;
    const { own, shared } = options.maps;
    const names = shared === undefined || shared === own ? [own] : [shared, own];
    this.#layers = names.map((name) => ({ name, settled: undefined, fault: undefined }));
  }

  /** Undefined until each ConfigMap could be read, or is known to be absent: who does not know must not begin to serve. */
  get mesh(): EffectiveMesh | undefined {
    return this.#mesh;
  }

  set(configMap: KubeObject): void {
    const layer = this.#layerOf(configMap);
    if (!layer) return;
    try {
      layer.settled = readMeshConfig(configMap);
      layer.fault = undefined;
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      const message = `${error.field} ${error.message}. Until this is fixed, ${heldBy(layer)}.`;
      layer.fault = { field: error.field, message, severity: "error" };
      // Whoever shows problems may wait for the mesh, too.
      if (this.#mesh === undefined) this.#log.error(message, { object: `ConfigMap ${this.#nameOf(layer)}` });
    }
    this.#settle();
  }

  delete(configMap: ObjectReference): void {
    const layer = this.#layerOf(configMap);
    if (!layer) return;
    layer.fault = undefined;
    if (isReading(layer.settled)) {
      const message = "It was deleted. What it said stays in force until the next start; put it back, or restart.";
      layer.fault = { field: "", message, severity: "warning" };
    } else layer.settled = "absent";
    this.#settle();
  }

  /** All that is there has been told: what was not is absent. */
  synced(): void {
    for (const layer of this.#layers) {
      if (layer.settled !== undefined || layer.fault !== undefined) continue;
      layer.settled = "absent";
      this.#log.info("the mesh has no such ConfigMap, so defaults hold", {
        object: `ConfigMap ${this.#nameOf(layer)}`,
      });
    }
    this.#settle();
  }

  problems(): readonly Problem[] {
    return this.#layers.flatMap((layer) => {
      const { settled, fault } = layer;
      const faults: Fault[] = fault ? [fault] : [];
      if (layer.name === this.#options.maps.own) faults.push(...this.#overruled());
      if (isReading(settled))
        for (const { field, message } of settled.warnings)
          faults.push({ field, message: `${field} ${message}.`, severity: "warning" });
      const object = `ConfigMap ${this.#nameOf(layer)}`;
      return faults.map((found) => ({ object, origin: "", ...found }));
    });
  }

  #nameOf({ name }: Layer): string {
    return `${this.#options.defaults.systemNamespace}/${name}`;
  }

  #layerOf({ kind, metadata }: ObjectReference): Layer | undefined {
    if (kind !== "ConfigMap" || metadata.namespace !== this.#options.defaults.systemNamespace) return undefined;
    return this.#layers.find(({ name }) => name === metadata.name);
  }

  #settle(): void {
    const layers = this.#layers.map(({ settled }) => settled);
    if (layers.every((settled) => settled !== undefined)) this.#publish(layers.filter(isReading));
    this.#options.onProblems();
  }

  #publish(readings: readonly MeshConfigReading[]): void {
    const fields = Object.assign({}, ...readings.map(({ fields }) => fields)) as MeshConfigReading["fields"];
    this.#declared = meshOf(fields);
    const mesh = effectiveMesh(this.#options.defaults, this.#declared);
    const now = { ...mesh, settings: this.#mesh?.settings ?? mesh.settings };
    if (!isDeepStrictEqual(now, this.#mesh)) {
      this.#mesh = now;
      this.#options.onChange(now);
    }
    this.#note(readings);
  }

  #note(readings: readonly MeshConfigReading[]): void {
    const notes = [...new Set(readings.flatMap(({ notes }) => notes))].join(",");
    if (notes !== this.#noted && notes !== "")
      this.#log.info("fields of the mesh config that ztunnels have no use for", {
        fields: notes,
      });
    this.#noted = notes;
  }

  /** What the ConfigMaps say, and does not hold: not before a restart, or not as long as a flag says otherwise. */
  #overruled(): readonly Fault[] {
    const [running, declared] = [this.#mesh?.settings, this.#declared];
    if (!running || !declared) return [];
    const { settings } = effectiveMesh(this.#options.defaults, declared);
    const late = (["trustDomain", "rootNamespace"] as const)
      .filter((name) => running[name] !== settings[name])
      .map((name) => warning(name, `is now ${settings[name]}, after a restart; until then it is ${running[name]}`));
    const { trustDomain } = declared;
    if (trustDomain === undefined || trustDomain === settings.trustDomain) return late;
    const why = `is ${trustDomain}, but --trust-domain or TRUST_DOMAIN is ${settings.trustDomain}, and wins`;
    return [...late, warning("trustDomain", why)];
  }
}

const isReading = (settled: Layer["settled"]): settled is MeshConfigReading => typeof settled === "object";

function heldBy({ settled }: Layer): string {
  if (settled === undefined) return "nothing is served, since nobody knows the trust domain";
  return settled === "absent" ? "the defaults stay in force" : "what it said before stays in force";
}

const warning = (name: string, why: string): Fault => ({
  field: `mesh.${name}`,
  message: `mesh.${name} ${why}.`,
  severity: "warning",
});
