// Writes the vector map the dashboard draws: coastlines as closed rings, borders as open lines.
//
//   node make-map.mjs ../assets/map.bin
//
// Source: Natural Earth 1:50m (public domain) from the npm package world-atlas, simplified by
// Visvalingam's method so that a whole-world file stays small while one continent still looks right
// on a wall screen. Antarctica is left out: no probe stands there, and it would flatten the fit.
//
// Format, little-endian, read by src/chart/geography.rs:
//   magic "FMAP", u8 version 3
//   varint rings, then each ring;  varint lines, then each line
//   a ring or line: varint points, then per point zigzag varints (dx, dy) from the point before;
//   units of 0.04 degree, x = longitude, y = latitude, the first point from (0, 0)
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mergeArcs, mesh, feature } from "topojson-client";
import { presimplify, quantile, simplify } from "topojson-simplify";

const UNITS_PER_DEGREE = 25; // four kilometres, two pixels at the nearest view
const KEPT_SHARE = 0.15; // of the source's points
const ISLAND_KEPT_SHARE = 0.5; // of islands that would vanish otherwise
const ISLAND_AREA_MIN = 0.02; // square degrees: Malta and Barbados are, smaller ones are less than a pixel
const ANTARCTICA = "010";

const require = createRequire(import.meta.url);
const source = JSON.parse(readFileSync(require.resolve("world-atlas/countries-50m.json")));
source.objects.countries.geometries = source.objects.countries.geometries.filter(
  (country) => country.id !== ANTARCTICA,
);

const weighted = presimplify(source);
const simplified = (share) => simplify(weighted, quantile(weighted, share));
const world = simplified(KEPT_SHARE);
const countries = world.objects.countries;

const quantise = (line) => {
  const out = [];
  for (const [lng, lat] of line) {
    const point = [Math.round(lng * UNITS_PER_DEGREE), Math.round(lat * UNITS_PER_DEGREE)];
    const last = out.at(-1);
    if (!last || last[0] !== point[0] || last[1] !== point[1]) out.push(point);
  }
  return out;
};

// Rings that merging stitched together across the date line go on past ±180°, instead of jumping
// back over the whole map.
const unwrap = (ring) => {
  let turns = 0;
  return ring.map(([lng, lat], i) => {
    const step = i > 0 ? lng - ring[i - 1][0] : 0;
    if (step > 180) turns -= 360;
    if (step < -180) turns += 360;
    return [lng + turns, lat];
  });
};

const area = (ring) => {
  let twice = 0;
  for (let i = 0; i < ring.length - 1; i++) {
    twice += ring[i][0] * ring[i + 1][1] - ring[i + 1][0] * ring[i][1];
  }
  return Math.abs(twice / 2);
};

const coasts = (topology) =>
  feature(topology, mergeArcs(topology, topology.objects.countries.geometries))
    .geometry.coordinates.flat()
    .map(unwrap)
    .filter((ring) => area(ring) >= ISLAND_AREA_MIN)
    .map((ring) => ({ ring, points: quantise(ring) }))
    .filter(({ points }) => points.length >= 4);
const box = (ring) => [0, 1].flatMap((axis) => {
  const values = ring.map((point) => point[axis]);
  return [Math.min(...values), Math.max(...values)];
});
// A simplified ring of a few points collapses: a fleet on islands would stand in empty water.
const drawn = coasts(world);
const boxes = drawn.map(({ ring }) => box(ring));
const islands = coasts(simplified(ISLAND_KEPT_SHARE)).filter(({ ring }) => {
  const [west, east, south, north] = box(ring);
  return area(ring) < 3 && !boxes.some(([w, e, s, n]) => w <= east && e >= west && s <= north && n >= south);
});
const rings = [...drawn, ...islands].map(({ points }) => points);
const lines = mesh(world, countries, (a, b) => a !== b)
  .coordinates.map(quantise)
  .filter((line) => line.length >= 2);

const bytes = [0x46, 0x4d, 0x41, 0x50, 3];
const varint = (value) => {
  while (value > 0x7f) {
    bytes.push((value & 0x7f) | 0x80);
    value >>>= 7;
  }
  bytes.push(value);
};
const zigzag = (value) => varint(value < 0 ? -2 * value - 1 : 2 * value);
const paths = (list) => {
  varint(list.length);
  for (const path of list) {
    varint(path.length);
    let [x, y] = [0, 0];
    for (const [px, py] of path) {
      zigzag(px - x);
      zigzag(py - y);
      [x, y] = [px, py];
    }
  }
};
paths(rings);
paths(lines);

const out = process.argv[2];
if (!out) throw new Error("usage: make-map.mjs <output file>");
writeFileSync(out, Uint8Array.from(bytes));
const points = [...rings, ...lines].reduce((sum, path) => sum + path.length, 0);
console.log(`${rings.length} rings, ${lines.length} borders, ${points} points, ${bytes.length} bytes`);
