import type { KubeObject } from "../../kube/object.ts";
import { fieldsOf, labelsOf, selects, textOf } from "./fields.ts";
import { hashNumber } from "./object-uid.ts";
import type { PodDraft } from "./pod-drafts.ts";
import { Remembered } from "./remembered.ts";

/**
 * Puts pods on nodes: those of one workload in turn, beginning at a node that its name decides. A pod stays where it is
 * as long as its node is there and fits, whatever comes and goes around it.
 */
export class Scheduler {
  readonly #places: Remembered;
  #nodes: readonly KubeObject[] = [];
  readonly #fitting = new Map<string, readonly string[]>();

  constructor(saved: Readonly<Record<string, string>> = {}) {
    this.#places = new Remembered(Object.entries(saved));
  }

  /** Starts a round. @param nodes sorted by name. */
  begin(nodes: readonly KubeObject[]): void {
    this.#places.begin();
    if (nodes === this.#nodes) return;
    this.#nodes = nodes;
    this.#fitting.clear();
  }

  /** @returns the node's name, or undefined if no node has the labels that the pod asks for. */
  place(draft: PodDraft): string | undefined {
    const spec = fieldsOf(draft.object["spec"]);
    const stated = textOf(spec["nodeName"]);
    if (stated !== "") return stated;
    const fitting = this.#fittingNodes(spec["nodeSelector"]);
    const known = this.#places.get(draft.key);
    if (known !== undefined && fitting.includes(known)) return known;
    const chosen = fitting[(hashNumber(draft.group) + draft.index) % Math.max(1, fitting.length)];
    if (chosen !== undefined) this.#places.set(draft.key, chosen);
    return chosen;
  }

  /** Ends a round. @returns true if there is something to save. */
  end(): boolean {
    this.#places.prune();
    return this.#places.takeChanged();
  }

  toJSON(): Readonly<Record<string, string>> {
    return this.#places.toJSON();
  }

  #fittingNodes(nodeSelector: unknown): readonly string[] {
    const query = JSON.stringify(nodeSelector) ?? "";
    let names = this.#fitting.get(query);
    if (names === undefined) {
      const wanted = labelsOf(nodeSelector);
      const fits = (node: KubeObject) =>
        fieldsOf(node["spec"])["unschedulable"] !== true &&
        (Object.keys(wanted).length === 0 || selects(wanted, node.metadata.labels ?? {}));
      names = this.#nodes.filter(fits).map((node) => node.metadata.name);
      this.#fitting.set(query, names);
    }
    return names;
  }
}
