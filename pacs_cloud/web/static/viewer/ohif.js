// What OHIF reads before it starts: where its files are, what archive it shows, and where it
// leads back to. Its own list of studies is off: ours is the one.
{
  const { root, start, mark, readsOnly, unsigned } = document.currentScript.dataset;
  const mayStore = readsOnly === undefined;
  const MAY_NOT_STORE =
    "Your account sees studies, and adds nothing to them: this cannot be saved in the archive.";

  // What the page of OHIF's own does before its script; that ends the timer, and complains else.
  console.time("scriptToView");
  window.PUBLIC_URL = root;
  window.browserImportFunction = (url) => import(url);

  // OHIF goes to pages of its own within the page that is open; these are the archive's.
  const ours = () => {
    window.location.reload();
    return null;
  };

  const wordsOf = (error) => {
    if (error.status === 401) {
      return "You are signed out. Sign in, in another tab, and try again.";
    }
    if (error.status === 403) {
      return mayStore ? "You may not do this with this study." : MAY_NOT_STORE;
    }
    if (error.status === 0) {
      return "The archive cannot be reached.";
    }
    return `The archive could not do this (${error.status}).`;
  };

  // Frames as they are stored, where OHIF can decode that; else as plain pixels. A line below
  // 100 Mbit/s carries them faster as HTJ2K, a quarter of the bytes, than the archive reads
  // them from its disk; a faster one, or this machine itself, carries plain pixels faster.
  const FAST_MBIT = 100;
  const SPEED = "pacs-cloud.line-mbit";
  const range = (type, syntax) => `multipart/related; type="${type}"; transfer-syntax=${syntax}`;
  const jpeg = (type, ...last) => last.map((one) => range(type, `1.2.840.10008.1.2.4.${one}`));
  const PLAIN = range("application/octet-stream", "1.2.840.10008.1.2.1");
  const KEPT = [
    ...jpeg("image/jphc", 201, 202, 203),
    ...jpeg("image/jpeg", 50, 51, 57, 70),
    ...jpeg("image/jls", 80, 81),
    ...jpeg("image/jp2", 90, 91),
    range("image/dicom-rle", "1.2.840.10008.1.2.5"),
  ];

  // How fast OHIF's own scripts came; as it was last time, where the browser had kept them.
  const lineMbit = () => {
    const measured = performance
      .getEntriesByType("resource")
      .filter((one) => one.transferSize > 200_000)
      .map((one) => (one.encodedBodySize * 8) / 1000 / (one.responseEnd - one.responseStart));
    if (measured.length > 0) {
      localStorage.setItem(SPEED, Math.max(...measured).toFixed(1));
    }
    return Number(localStorage.getItem(SPEED) ?? Infinity);
  };

  // Says so at once where nothing may be stored: OHIF lists what it is about to store as if it
  // were there. What is saved as a file stays as it is.
  const readingOnly = {
    id: "pacs-cloud.reading-only",
    getCommandsModule: ({ commandsManager }) => {
      const { commandFn } = commandsManager.getCommand("createStoreFunction", "DEFAULT");
      const createStoreFunction = (wish) =>
        ["download", "copyToClipboard"].includes(wish.dataSource)
          ? commandFn(wish)
          : async () => {
              throw new Error(MAY_NOT_STORE);
            };
      return { defaultContext: "DEFAULT", definitions: { createStoreFunction } };
    },
  };

  window.config = {
    name: "pacs-cloud",
    routerBasename: "/viewer",
    extensions: mayStore ? [] : [readingOnly],
    modes: [],
    showStudyList: false,
    investigationalUseDialog: { option: "never" },
    showErrorDetails: "production",
    showLoadingIndicator: true,
    showCPUFallbackMessage: true,
    showWarningMessageForCrossOrigin: true,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    maxNumberOfWebWorkers: Math.max(2, Math.min(6, (navigator.hardwareConcurrency ?? 4) - 1)),
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    customizationService: [
      {
        // What is under the pointer is explained by its label; images are there to be looked at.
        "ohif.tours": { $set: [] },
        // Its neural network is of another origin, and not installed.
        "cornerstone.segmentationToolbarSections": {
          LabelMapTools: { $apply: (tools) => tools.filter((one) => one !== "MarkerLabelmap") },
        },
        "routes.customRoutes": {
          $set: {
            routes: ["/", "/notfoundstudy", "/notfoundserver", "/local", "/localbasic", "/debug"].map(
              (path) => ({ path, children: ours }),
            ),
            notFoundRoute: { path: "*", children: ours },
          },
        },
      },
    ],
    whiteLabeling: {
      createLogoComponentFn: (React) =>
        React.createElement(
          "a",
          { href: start, className: "pacs-start", title: "Back to the studies" },
          React.createElement("span", { "aria-hidden": true }, "‹"),
          React.createElement("img", { src: mark, alt: "", width: 24, height: 24 }),
          React.createElement("span", null, "Studies"),
          unsigned !== undefined &&
            React.createElement("span", { className: "pacs-unsigned" }, "No sign-in"),
        ),
    },
    defaultDataSourceName: "dicomweb",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "dicomweb",
        configuration: {
          friendlyName: "pacs-cloud",
          name: "pacs-cloud",
          qidoRoot: "/dicom-web",
          wadoRoot: "/dicom-web",
          wadoUriRoot: "/dicom-web",
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: true,
          supportsWildcard: true,
          supportsStow: mayStore,
          dicomUploadEnabled: false,
          enableStudyLazyLoad: true,
          imageRendering: "wadors",
          thumbnailRendering: "thumbnail",
          thumbnailRequestStrategy: "fetch",
          singlepart: "bulkdata,video",
          bulkDataURI: { enabled: true },
          // Asked for once the scripts are there.
          get acceptHeader() {
            // Next door it is no line that is slow, but an archive that is busy already.
            const { rtt, saveData } = navigator.connection ?? {};
            const thin = saveData || (rtt !== 0 && lineMbit() < FAST_MBIT);
            return [(thin ? [...KEPT, `${PLAIN}; q=0.5`] : [PLAIN, ...KEPT]).join(", ")];
          },
        },
      },
    ],
    httpErrorHandler: (error) => {
      error.message = wordsOf(error);
    },
  };
}
