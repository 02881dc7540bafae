"""Examples of requests and answers for the OpenAPI document."""

HEALTH = {
    "status": "healthy",
    "service": "deepfake-detection-ml-service",
    "version": "0.1.0",
    "model": "prithivMLmods/Deepfake-Detect-Siglip2",
    "model_status": "loaded",
    "timestamp": "2026-01-31T12:00:00.000+00:00",
    "release_id": "5b94bbfea548379e",
    "precision": "fp32",
    "trained": True,
    "notice": "",
}

SCORES = {
    "video_score": 91.24,
    "peak_risk": 95.02,
    "mean_risk": 88.7,
    "audio_score": 0.0,
    "gan_fingerprint": 91.24,
    "temporal_consistency": 98.31,
    "risk_score": 91.24,
    "confidence": 88.7,
}

DETECT = {
    "result": "fake",
    "confidence_score": 0.9518,
    "processing_time_seconds": 0.342,
    "metadata": {
        "input_type": "image",
        "format": "jpeg",
        "frames_analyzed": 1,
        "frames_failed": 0,
        "frame_predictions": [
            {
                "index": 0,
                "timestamp_s": 0.0,
                "status": "OK",
                "fake_probability": 0.9518,
                "face_box": [173.0, 67.0, 276.0, 170.0],
                "face_score": 0.912,
            },
        ],
        "faces_detected": 1,
        "sha256": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "model": {
            "name": "prithivMLmods/Deepfake-Detect-Siglip2",
            "release_id": "5b94bbfea548379e",
            "export_id": 225635724,
            "precision": "fp32",
            "labels": ["Fake", "Real"],
            "trained": True,
        },
    },
    "model_version": "prithivMLmods/Deepfake-Detect-Siglip2@fp32-5b94bbfea548379e",
}

INFERENCE_REQUESTS = {
    "video": {
        "summary": "A video from its frames",
        "value": {"mediaType": "VIDEO", "extractedFrames": ["clip/00.jpg", "clip/01.jpg", "clip/02.jpg"]},
    },
    "image": {
        "summary": "An image, with the frame's face and status",
        "value": {"mediaType": "IMAGE", "extractedFrames": "photo.jpg", "include": ["frames"]},
    },
}
