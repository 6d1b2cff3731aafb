// Runs once in every browser view of a scene. `this` is the NGLView of nglview's front end, NGL is its library.
// What comes from Python is drawn as it is, in the frame it is given in: nothing is turned, centred or rounded.
(() => {
  if (this.mlipShow) return;
  const view = this, stage = view.stage, viewer = stage.viewer;
  const state = {
    id: null, atoms: null, cell: null, edges: [], marks: null, colors: [], positions: null, rotation: null,
  };
  const report = (event, details) => view.send({ type: "mlip_lab", event, ...details });

  // Colours come from Python, one number per atom, so that the flat picture and this one are the same.
  const scheme = NGL.ColormakerRegistry.addScheme(function () {
    this.atomColor = (atom) => state.colors[atom.index] ?? 0x808080;
  });

  stage.setParameters({
    backgroundColor: "white", cameraType: "orthographic", tooltip: false, hoverTimeout: -1, clipDist: 0,
  });
  stage.mouseControls.remove("clickPick-left");  // a click measures; it does not move the camera
  // nglview's own bookkeeping would send a message for every move of the mouse, and undo ours in a second view
  view.serialize_camera_orientation = () => {};
  view.requestUpdateStageParameters = () => {};
  ["componentAdded", "componentRemoved", "clicked"].forEach((name) => stage.signals[name].removeAll());
  view.$pickingInfo.remove();

  stage.signals.clicked.add((picked) => {
    if (picked && picked.atom) report("picked", { atoms: [picked.atom.index] });
    else if (picked && picked.bond) report("picked", { atoms: [picked.bond.atomIndex1, picked.bond.atomIndex2] });
    else if (!picked) report("picked", { atoms: [] });
  });

  // The canvas follows its place in the page: a hidden tab that opens, columns that stack, a window that shrinks.
  const container = viewer.container;
  try { view.$container.resizable("destroy"); } catch (error) { /* it was not resizable */ }
  container.style.width = container.style.height = "100%";
  let visible = container.clientWidth > 0;
  const resized = new ResizeObserver(() => {
    const now = container.clientWidth > 0 && container.clientHeight > 0;
    if (now) stage.handleResize();
    if (now && !visible) look();
    visible = now;
  });
  resized.observe(container);
  stage.handleResize();

  // Browsers keep few WebGL contexts: give this one back with the view.
  const remove = view.remove;
  view.remove = function () {
    resized.disconnect();
    stage.removeAllComponents();
    stage.dispose();
    viewer.renderer.forceContextLoss();
    return remove.apply(view, arguments);
  };

  // As near as this direction allows, all in sight. Without perspective the distance of the camera is only a scale: the
  // height that is seen is 2 d tan(field of view / 2).
  const look = () => {
    if (!state.rotation || !state.atoms) return;
    const [x, y, z, w] = state.rotation;
    const turn = new NGL.Quaternion(x, y, z, w), back = new NGL.Quaternion(-x, -y, -z, w);
    const box = new NGL.Box3(), point = new NGL.Vector3();
    const enclose = (place) => box.expandByPoint(point.copy(place).applyQuaternion(turn));
    state.atoms.structure.eachAtom((atom) => enclose(atom));
    state.edges.flat().forEach(([px, py, pz]) => enclose({ x: px, y: py, z: pz }));
    box.expandByScalar(1);  // the size of an atom
    const size = box.getSize(new NGL.Vector3());
    const aspect = container.clientWidth / Math.max(container.clientHeight, 1);
    const half = Math.tan((viewer.perspectiveCamera.fov * Math.PI) / 360);
    viewer.rotationGroup.setRotationFromQuaternion(turn);
    stage.viewerControls.center(box.getCenter(new NGL.Vector3()).applyQuaternion(back));
    stage.viewerControls.distance((1.06 * Math.max(size.y, size.x / aspect)) / (2 * half));
    viewer.requestRender();
  };
  const fits = (coordinates) => state.atoms && coordinates.length === 3 * state.atoms.structure.atomCount;

  const drawCell = (cell) => {
    if (state.cell) stage.removeComponent(state.cell);
    state.cell = null;
    state.edges = cell.edges;
    if (!cell.edges.length) return;
    const shape = new NGL.Shape("cell", { labelParams: { attachment: "middle-center" } });
    cell.edges.forEach(([from, to]) => shape.addCylinder(from, to, [0.2, 0.2, 0.2], cell.radius));
    cell.labels.forEach(([name, place]) => shape.addText(place, [0, 0, 0], cell.size, name));
    state.cell = stage.addComponentFromObject(shape);
    state.cell.addRepresentation("buffer");
  };
  const drawMarks = (marked) => {
    if (state.marks) state.atoms.removeRepresentation(state.marks);
    state.marks = null;
    if (!marked.length) return;
    state.marks = state.atoms.addRepresentation("spacefill", {
      sele: "@" + marked.join(","), color: "#D55E00", opacity: 0.5, radiusType: "covalent", radiusScale: 0.65,
    });
  };

  view.mlipShow = (scene) => {
    if (scene.id === state.id) return;
    state.id = scene.id;
    state.positions = null;
    const text = new Blob([scene.mol2], { type: "text/plain" });
    stage.loadFile(text, { ext: "mol2", name: "atoms", defaultRepresentation: false }).then((atoms) => {
      if (state.id !== scene.id) return stage.removeComponent(atoms);  // a newer one came while this one was read
      const old = state.atoms;
      Object.assign(state, { atoms, colors: scene.colors, marks: null });
      if (state.positions && fits(state.positions)) atoms.structure.updatePosition(state.positions);
      atoms.addRepresentation("spacefill", { color: scheme, radiusType: "covalent", radiusScale: scene.sphere });
      if (scene.bonds) atoms.addRepresentation("licorice", { color: scheme, radiusType: "size", radiusSize: 0.1 });
      drawCell(scene.cell);
      if (scene.marks.length) drawMarks(scene.marks);
      if (old) stage.removeComponent(old);
      if (scene.fit || !state.rotation) {
        state.rotation = scene.rotation;
        look();
      }
      requestAnimationFrame(() => requestAnimationFrame(() => report("drawn", { id: scene.id })));
    }).catch((error) => report("failed", { reason: String(error) }));
  };
  // nglview calls this for each binary message: new coordinates, and nothing else is made anew.
  view.updateCoordinates = (buffer) => {
    const coordinates = new Float32Array(buffer);
    state.positions = coordinates;
    if (!fits(coordinates)) return;
    state.atoms.structure.updatePosition(coordinates);
    state.atoms.updateRepresentations({ position: true });
  };
  view.mlipColors = (colors) => {
    state.colors = colors;
    if (state.atoms) state.atoms.updateRepresentations({ color: true });
  };
  view.mlipCell = (cell) => drawCell(cell);
  view.mlipMarks = (marked) => state.atoms && drawMarks(marked);
  view.mlipLoosen = () => state.atoms && state.atoms.eachRepresentation((shown) => {
    if (shown.repr.type === "licorice") state.atoms.removeRepresentation(shown);
  });
  view.mlipLook = (rotation) => { state.rotation = rotation; look(); };
})();
