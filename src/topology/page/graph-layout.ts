/** A box of the picture, in CSS pixels from its upper left corner. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface GraphLayout {
  readonly height: number;
  readonly own: Box;
  /** In the order in which they were given. */
  readonly others: readonly Box[];
  /** Paths from each other box to our own, as SVG writes them: what we read above, what reads us below. */
  readonly edges: readonly { readonly weRead: string; readonly readsUs: string }[];
}

const BOX = { width: 232, height: 58 } as const;
const GAP = 14;
const NARROW = 760;
/** How far the two directions of a link lie apart. */
const APART = 7;

/** More would be a picture of nothing: the table has the rest. */
export const capOf = (width: number): number => (width < NARROW ? 8 : 20);

/** Our own cluster in the middle and the others on both sides; in a narrow window one below the other. */
export function graphLayout(width: number, others: number): GraphLayout {
  return width < NARROW ? ladder(width, others) : butterfly(width, others);
}

function butterfly(width: number, count: number): GraphLayout {
  const left = Math.ceil(count / 2);
  const rows = Math.max(1, left);
  const height = rows * (BOX.height + GAP) - GAP;
  const own: Box = { ...BOX, left: (width - BOX.width) / 2, top: (height - BOX.height) / 2 };
  const others = Array.from({ length: count }, (_, at): Box => {
    const onLeft = at < left;
    const row = onLeft ? at : at - left;
    const rowsHere = onLeft ? left : count - left;
    const top = row * (BOX.height + GAP) + ((rows - rowsHere) * (BOX.height + GAP)) / 2;
    return { ...BOX, left: onLeft ? 0 : width - BOX.width, top };
  });
  const edges = others.map((box) => ({ weRead: curve(box, own, -APART), readsUs: curve(own, box, APART) }));
  return { height, own, others, edges };
}

/** From the side of one box to the facing side of another; arrows end a little before it. */
function curve(from: Box, to: Box, offset: number): string {
  const right = from.left < to.left;
  const x1 = right ? from.left + from.width : from.left;
  const x2 = right ? to.left - 3 : to.left + to.width + 3;
  const [y1, y2] = [from.top + from.height / 2 + offset, to.top + to.height / 2 + offset];
  const middle = (x1 + x2) / 2;
  return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

/** A spine on the left leads from our own cluster down to the others. */
function ladder(width: number, count: number): GraphLayout {
  const indent = 40;
  const own: Box = { left: 0, top: 0, width, height: BOX.height };
  const others = Array.from({ length: count }, (_, at): Box => {
    return { left: indent, top: (at + 1) * (BOX.height + GAP), width: width - indent, height: BOX.height };
  });
  const edges = others.map(({ top, height }) => {
    const y = top + height / 2;
    return {
      weRead: `M${indent} ${y - APART}H12V${own.height + 3}`,
      readsUs: `M24 ${own.height}V${y + APART}H${indent - 3}`,
    };
  });
  return { height: (count + 1) * (BOX.height + GAP) - GAP, own, others, edges };
}

/** The box that an arrow key leads to from `from`: the nearest in that direction; `from` if there is none. */
export function neighbour(boxes: readonly Box[], from: number, key: string): number {
  const here = boxes[from];
  if (here === undefined) return from;
  const [dx, dy] = DIRECTIONS[key] ?? [0, 0];
  let [best, bestCost] = [from, Infinity];
  boxes.forEach((box, at) => {
    const x = box.left + box.width / 2 - (here.left + here.width / 2);
    const y = box.top + box.height / 2 - (here.top + here.height / 2);
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const cost = along + aside * 3;
    if (at !== from && along > 1 && cost < bestCost) [best, bestCost] = [at, cost];
  });
  return best;
}

const DIRECTIONS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
