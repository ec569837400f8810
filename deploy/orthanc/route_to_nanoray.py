"""Send every new radiograph of an Orthanc server to NanoRay.

Orthanc's Python plug-in runs this file (`PythonScript` of its configuration); nanoray.json holds
NanoRay's address. It follows Orthanc's log of changes and keeps its position in Orthanc's database.
An image is passed over only after NanoRay has acknowledged or refused it, so that a restart of
either program loses none. The first start begins with the images that arrive from then on.
"""

import json
import threading

import orthanc

SETTINGS = json.loads(orthanc.GetConfiguration())["NanoRay"]
PEER = "nanoray"
POSITION = 4711  # Orthanc leaves global properties from 1024 on to plug-ins.
PAGE = 100
IDLE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
ATTEMPTS = 5  # for an image that NanoRay refuses while it answers C-ECHO

stopping = threading.Event()


def get(path):
    """Return an answer of Orthanc's REST API, decoded."""
    return json.loads(orthanc.RestApiGet(path))


def position():
    """Return the number of the last change that needs no more work."""
    stored = orthanc.GetGlobalProperty(POSITION, "")
    if not stored:
        stored = str(get("/changes?last")["Last"])
        orthanc.SetGlobalProperty(POSITION, stored)
    return int(stored)


def is_radiograph(instance):
    """Whether an instance is of a modality to be sent, and still stored."""
    try:
        series = get("/instances/" + instance + "/series")
    except orthanc.OrthancException:
        return False  # deleted since
    return series["MainDicomTags"].get("Modality") in SETTINGS["Modalities"]


def send(instance):
    """Send one instance, as often as it takes; give up only what NanoRay refuses."""
    refusals, pause = 0, 1.0
    while not stopping.is_set():
        try:
            orthanc.RestApiPost("/modalities/" + PEER + "/store", instance)
            return
        except orthanc.OrthancException:
            if answers():
                refusals += 1
            if refusals >= ATTEMPTS:
                orthanc.LogError("NanoRay refuses instance " + instance)
                return
            orthanc.LogWarning("NanoRay has not taken instance " + instance + " yet")
        stopping.wait(pause)
        pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)


def answers():
    """Whether NanoRay answers C-ECHO."""
    try:
        orthanc.RestApiPost("/modalities/" + PEER + "/echo", "{}")
    except orthanc.OrthancException:
        return False
    return True


def follow():
    """Send new radiographs until Orthanc stops."""
    orthanc.RestApiPut(
        "/modalities/" + PEER,
        json.dumps({key: SETTINGS[key] for key in ("AET", "Host", "Port")}),
    )
    done = position()
    while not stopping.is_set():
        page = get(f"/changes?since={done}&limit={PAGE}")
        for change in page["Changes"]:
            if change["ChangeType"] == "NewInstance" and is_radiograph(change["ID"]):
                send(change["ID"])
            if stopping.is_set():
                return
            done = change["Seq"]
            orthanc.SetGlobalProperty(POSITION, str(done))
        if page["Done"]:
            stopping.wait(IDLE_SECONDS)


follower = threading.Thread(target=follow, name="nanoray")


def on_change(change, level, resource):
    """Begin with Orthanc, and end with it."""
    if change == orthanc.ChangeType.ORTHANC_STARTED:
        follower.start()
    elif change == orthanc.ChangeType.ORTHANC_STOPPED:
        stopping.set()
        follower.join()


orthanc.RegisterOnChangeCallback(on_change)
